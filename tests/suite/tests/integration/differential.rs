//! Stages 4 and 6 give the same responses: the same bytes, at any split, have the same status, fields
//! and content, but for `Date`, `Server` and `Connection`. Stage 4 gets each request on a connection of
//! its own; stage 6 gets as many as it takes on one.

use fastrand::Rng;
use harness::client::Client;
use harness::context::TestContext;
use harness::error::CheckError;
use harness::program::Program;
use harness::response::Response;
use harness::server::Server;
use harness::site::Site;
use harness::text::readable;
use harness::workspace;
use std::collections::BTreeSet;

/// How many requests are compared at least, and which statuses must be among their responses.
const REQUESTS: usize = 300;
const STATUSES: [u16; 10] = [200, 204, 301, 400, 404, 405, 415, 417, 501, 505];

/// The fields in which the stages may differ.
const DIFFERENT: [&str; 3] = ["date", "server", "connection"];

/// A stage on a site, and a connection to it that has stayed open.
struct Stage {
    server: Server,
    client: Option<Client>,
    keeps_connections: bool,
}

#[test]
fn stages_4_and_6_give_the_same_responses() {
    let seed = crate::prepare();
    let binaries = workspace::build_stages().unwrap();
    let contexts = [4, 6].map(|number: usize| {
        let program = Program::new(&binaries[number - 1]);
        TestContext::new(&program, seed, "differential").unwrap()
    });
    let _running = crate::BUILDING.read().unwrap();
    let mut stages = [false, true].map(|keeps_connections| Stage {
        server: contexts[usize::from(keeps_connections)].start().unwrap(),
        client: None,
        keeps_connections,
    });
    let mut rng = Rng::with_seed(seed);
    let mut statuses = BTreeSet::new();
    let (mut count, mut reused) = (0, 0);
    while count < REQUESTS || !STATUSES.iter().all(|it| statuses.contains(it)) {
        let request = random_request(&mut rng, &contexts[0].site);
        let mut splits = [0; 2].map(|_| rng.usize(..=request.len()));
        splits.sort_unstable();
        reused += usize::from(stages[1].client.is_some());
        statuses.insert(compare(&mut stages, &request, splits));
        count += 1;
        assert!(count < 20 * REQUESTS, "only {statuses:?}");
    }
    assert!(
        reused > count / 10,
        "{reused} of {count} on kept connections"
    );
}

/// Fails unless both stages give the same response. Returns its status.
fn compare(stages: &mut [Stage; 2], request: &[u8], splits: [usize; 2]) -> u16 {
    let [four, six] = stages.each_mut().map(|stage| {
        let response = stage.response(request, splits).unwrap_or_else(|error| {
            panic!("{error:?}\nafter\n{}", readable(request));
        });
        (response.status, other_fields(&response), response.content)
    });
    let sent = readable(request);
    assert_eq!(four, six, "after, split at {splits:?},\n{sent}");
    four.0
}

impl Stage {
    /// Sends a request in three parts and reads the final response.
    fn response(&mut self, request: &[u8], splits: [usize; 2]) -> Result<Response, CheckError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.server.connect()?,
        };
        let [first, second] = splits;
        for part in [
            &request[..first],
            &request[first..second],
            &request[second..],
        ] {
            if !part.is_empty() {
                client.send_separately(part)?;
            }
        }
        let mut response = client.next_response(request)?;
        if response.status == 100 {
            response = client.next_response(request)?;
        }
        if self.keeps_connections && response.field("connection") != Some("close") {
            self.client = Some(client);
        }
        Ok(response)
    }
}

fn other_fields(response: &Response) -> Vec<(String, String)> {
    let mut fields = response.fields.clone();
    fields.retain(|(name, _)| !DIFFERENT.contains(&name.as_str()));
    fields
}

/// A request that is complete: valid more often than not.
fn random_request(rng: &mut Rng, site: &Site) -> Vec<u8> {
    let page = site.page.target();
    let escaped = format!("/%{:02x}{}", page.as_bytes()[1], &page[2..]);
    let folder = format!("/{}", site.nested_folder());
    let targets = [
        &page,
        &site.nested.target(),
        &escaped,
        &folder,
        &format!("{folder}?a=b"),
        &format!("{page}?a=b"),
        &format!("http://localhost{page}"),
        "/",
        "/MyForm.html",
        "/MyForm.html",
        "/missing",
        "/../secret",
        "/%zz",
        "/%00",
        "*",
        "nothing",
    ];
    let methods = [
        "GET", "GET", "GET", "HEAD", "POST", "POST", "OPTIONS", "PUT", "BREW", "get",
    ];
    let method = rng.choice(methods).unwrap_or("GET");
    let target = rng.choice(targets).unwrap_or("/");
    let version = match rng.u8(..30) {
        0..3 => "HTTP/1.0",
        3 => "HTTP/1.2",
        4 => "HTTP/2.0",
        5 => "http/1.1",
        _ => "HTTP/1.1",
    };
    let end = if rng.u8(..8) == 0 { "\n" } else { "\r\n" };
    let mut lines = vec![format!("{method} {target} {version}")];
    if rng.u8(..12) > 0 {
        lines.push("Host: localhost".to_string());
    }
    lines.extend(random_fields(rng).into_iter().map(str::to_string));
    let mut content = "";
    if method == "POST" || rng.u8(..6) == 0 {
        content = rng
            .choice(["a=b", "a=%3Cb%3E&c=d+e", "", "GET / HTTP/1.1\r\n\r\n"])
            .unwrap_or("");
        lines.push(format!("Content-Length: {}", content.len()));
    }
    let head: String = lines.iter().map(|line| format!("{line}{end}")).collect();
    format!("{head}{end}{content}").into_bytes()
}

fn random_fields(rng: &mut Rng) -> Vec<&'static str> {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
    let fields = [
        FORM,
        FORM,
        FORM,
        "Connection: close",
        "Connection: keep-alive",
        "Expect: 100-continue",
        "Accept: */*",
        "Accept: */*",
        "Content-Type: text/plain",
        "Expect: something",
        "Host: other",
        "Transfer-Encoding: chunked",
        "Content-Length: 2",
        "Content-Length: x",
        "A : b",
        " folded",
        "A: b\rc",
        "A: b\0c",
        "no colon",
    ];
    let count = rng.usize(..3);
    // The malformed ones, at the end, are chosen less often.
    let choose = |_| {
        let most = if rng.u8(..5) > 0 { 9 } else { fields.len() };
        fields[rng.usize(..most)]
    };
    (0..count).map(choose).collect()
}
