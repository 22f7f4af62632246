//! Uploads that the stages refuse, sent by real clients: each sees the status, however much it sends.
//! If a stage closed the connection before it has read everything, the system would reset it, and
//! most clients would report that instead of the response.

use crate::browser;
use harness::cleanup::{self, ScratchDir};
use harness::program::{CapturedOutput, Program, on_path};
use harness::server::{Server, Start};
use harness::workspace::{self, STAGES};
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// How long a client may take for all its uploads to a stage.
const LIMIT: Duration = Duration::from_secs(120);

const KIB: u64 = 1024;

/// How much is sent, in bytes.
const SIZES: [u64; 4] = [KIB, 64 * KIB, 1024 * KIB, 100 * 1024 * KIB];

/// The field with the type of what is sent. The scripts send it, too.
const CONTENT_TYPE: &str = "Content-Type: text/plain";

/// How a request says where its content ends.
#[derive(Clone, Copy, PartialEq, Serialize)]
enum Framing {
    Length,
    Chunked,
    /// Not at all.
    Missing,
}

/// A request with content, and the status of its response for each size.
struct Request {
    stages: RangeInclusive<u8>,
    method: &'static str,
    path: &'static str,
    framing: Framing,
    statuses: [u16; 4],
}

const REQUESTS: [Request; 5] = [
    Request {
        stages: 1..=3,
        method: "POST",
        path: "/MyForm.html",
        framing: Framing::Length,
        statuses: [501; 4],
    },
    Request {
        stages: 4..=6,
        method: "PUT",
        path: "/index.html",
        framing: Framing::Length,
        statuses: [405; 4],
    },
    // Its type is wrong, and from a size on it is also too much.
    Request {
        stages: 4..=6,
        method: "POST",
        path: "/MyForm.html",
        framing: Framing::Length,
        statuses: [415, 415, 413, 413],
    },
    Request {
        stages: 4..=6,
        method: "POST",
        path: "/MyForm.html",
        framing: Framing::Missing,
        statuses: [411; 4],
    },
    Request {
        stages: 4..=6,
        method: "POST",
        path: "/MyForm.html",
        framing: Framing::Chunked,
        statuses: [501; 4],
    },
];

/// A client, and the framings that it can send.
struct Client {
    name: &'static str,
    framings: &'static [Framing],
    send: fn(&Tools, &[Upload]) -> Vec<String>,
}

const CLIENTS: [Client; 7] = [
    Client {
        name: "curl",
        framings: &[Framing::Length, Framing::Chunked, Framing::Missing],
        send: |tools, uploads| tools.curl(uploads, &[]),
    },
    // It doesn't ask before it sends much.
    Client {
        name: "curl without Expect",
        framings: &[Framing::Length, Framing::Chunked, Framing::Missing],
        send: |tools, uploads| tools.curl(uploads, &["--header", "Expect:"]),
    },
    Client {
        name: "wget",
        framings: &[Framing::Length],
        send: Tools::wget,
    },
    // It sends the content a moment after the head.
    Client {
        name: "http.client",
        framings: &[Framing::Missing],
        send: |tools, uploads| tools.python("http.client", uploads),
    },
    Client {
        name: "urllib",
        framings: &[Framing::Length, Framing::Chunked],
        send: |tools, uploads| tools.python("urllib", uploads),
    },
    Client {
        name: "requests",
        framings: &[Framing::Length, Framing::Chunked],
        send: |tools, uploads| tools.python("requests", uploads),
    },
    Client {
        name: "chromium",
        framings: &[Framing::Length],
        send: Tools::chromium,
    },
];

/// One upload of a client.
#[derive(Serialize)]
struct Upload {
    method: &'static str,
    url: String,
    framing: Framing,
    size: u64,
    /// The status of the response.
    #[serde(skip)]
    expected: u16,
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs real clients: LAB_CI=1 runs it")]
fn clients_see_why_an_upload_is_refused() {
    cleanup::handle_signals().unwrap();
    let (tools, site) = (Tools::new(), browser::site());
    let mut problems = Vec::new();
    for (stage, binary) in STAGES.iter().zip(workspace::build_stages().unwrap()) {
        let (program, log) = (Program::new(binary), CapturedOutput::default());
        let server = Server::start(&program, &site, Start::default(), log).unwrap();
        for client in &CLIENTS {
            let uploads = uploads(stage.number, client, &server);
            let results = (client.send)(&tools, &uploads);
            assert_eq!(results.len(), uploads.len(), "{}: {results:?}", client.name);
            for (upload, result) in uploads.iter().zip(results) {
                if result != upload.expected.to_string() {
                    problems.push(format!(
                        "stage {}, {}, {} of {} bytes: {result}, not {}",
                        stage.number, client.name, upload.method, upload.size, upload.expected
                    ));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What a client sends to a stage.
fn uploads(stage: u8, client: &Client, server: &Server) -> Vec<Upload> {
    let is_possible = |request: &&Request| {
        request.stages.contains(&stage) && client.framings.contains(&request.framing)
    };
    let requests = REQUESTS.iter().filter(is_possible);
    requests
        .flat_map(|request| {
            let cases = SIZES.into_iter().zip(request.statuses);
            cases.map(|(size, expected)| Upload {
                method: request.method,
                url: format!("http://{}{}", server.address, request.path),
                framing: request.framing,
                size,
                expected,
            })
        })
        .collect()
}

/// The programs of the clients, and the files that they send. What they print is the status code of
/// each response, or an error.
struct Tools {
    curl: Program,
    wget: Program,
    python: Program,
    node: Program,
    chromium: PathBuf,
    scratch: ScratchDir,
}

impl Tools {
    fn new() -> Tools {
        let find = |name: &str| on_path(name).unwrap_or_else(|| panic!("{name} is missing"));
        let target = workspace::root().join("target");
        let python = target.join("readers/venv/bin/python");
        assert!(python.exists(), "run tests/install first");
        let tools = Tools {
            curl: Program::new(find("curl")),
            wget: Program::new(find("wget")),
            python: Program::new(python),
            node: Program::new(find("node")),
            chromium: find("chromium"),
            scratch: ScratchDir::new().unwrap(),
        };
        for size in SIZES {
            // A hole takes no space.
            File::create(tools.file(size))
                .unwrap()
                .set_len(size)
                .unwrap();
        }
        tools
    }

    /// A file of that size.
    fn file(&self, size: u64) -> PathBuf {
        self.scratch.path().join(size.to_string())
    }

    fn curl(&self, uploads: &[Upload], options: &[&str]) -> Vec<String> {
        let send = |upload: &Upload| {
            let framing = match upload.framing {
                Framing::Length => None,
                Framing::Chunked => Some("Transfer-Encoding: chunked"),
                // A name without a value removes that field.
                Framing::Missing => Some("Content-Length:"),
            };
            let file = self.file(upload.size).display().to_string();
            let mut arguments = vec!["--disable", "--silent", "--show-error", "--max-time", "30"];
            arguments.extend(["--output", "/dev/null", "--write-out", "%{http_code}"]);
            arguments.extend(["--request", upload.method, "--header", CONTENT_TYPE]);
            arguments.extend(framing.iter().flat_map(|field| ["--header", field]));
            arguments.extend(["--upload-file", &file, &upload.url]);
            arguments.extend(options);
            let output = self.curl.run(&arguments, LIMIT).unwrap();
            text(&[output.stdout, output.stderr].concat())
        };
        uploads.iter().map(send).collect()
    }

    fn wget(&self, uploads: &[Upload]) -> Vec<String> {
        let send = |upload: &Upload| {
            let method = format!("--method={}", upload.method);
            let file = format!("--body-file={}", self.file(upload.size).display());
            let mut arguments = vec!["--no-config", "--no-verbose", "--server-response"];
            arguments.extend(["--tries=1", "--timeout=30", "--output-document=/dev/null"]);
            arguments.extend(["--header", CONTENT_TYPE, &method, &file, &upload.url]);
            let output = self.wget.run(&arguments, LIMIT).unwrap();
            let printed = text(&output.stderr);
            let mut lines = printed.lines();
            let status = lines.find_map(|line| line.trim().strip_prefix("HTTP/1.1 "));
            let code = status.and_then(|status| status.split(' ').next());
            code.map_or_else(|| format!("{}, {printed}", output.status), str::to_string)
        };
        uploads.iter().map(send).collect()
    }

    fn python(&self, library: &str, uploads: &[Upload]) -> Vec<String> {
        let uploads = serde_json::to_string(uploads).unwrap();
        run_script(&self.python, "upload.py", &[library, &uploads])
    }

    fn chromium(&self, uploads: &[Upload]) -> Vec<String> {
        let settings = json!({
            "chromium": self.chromium,
            "modules": workspace::root().join("target/browser"),
            "scratch": self.scratch.path(),
        });
        let uploads = serde_json::to_string(uploads).unwrap();
        run_script(&self.node, "upload.mjs", &[&settings.to_string(), &uploads])
    }
}

/// Runs a script. Returns the lines that it prints.
fn run_script(interpreter: &Program, name: &str, arguments: &[&str]) -> Vec<String> {
    let folder = workspace::root().join("tests/cli/tests/uploads");
    let mut program = interpreter.clone();
    program.arguments = vec![folder.join(name).into()];
    let output = program.run(arguments, LIMIT).unwrap();
    let error = text(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{error}",
        output.status
    );
    text(&output.stdout).lines().map(str::to_string).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_string()
}
