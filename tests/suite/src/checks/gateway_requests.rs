//! What an application learns about a request: the variables of CGI, and how a path is split.

use super::ensure_alive;
use super::gateway::{
    STAGE_5, Script, TEXT, add_script, ensure_line, ensure_no_line, start_cgi, start_with,
};
use crate::check::{Check, PREREQUISITE};
use harness::client::{get, request};
use harness::context::TestContext;
use harness::error::{CheckResult, ensure};
use harness::response::Response;
use harness::server::{Server, Start};
use std::fs;
use std::os::unix::fs::symlink;

pub const CHECKS: &[Check] = &[
    Check {
        id: "cgi-program-responds",
        must: "start the program for each request below its prefix, and send its output",
        why: "RFC 3875, 3: the server decides which program a path names.",
        hint: "Mount a program or a folder of programs. The head ends at the first empty line.",
        needs: &[PREREQUISITE],
        weight: 3,
        run: cgi_program_responds,
        ..STAGE_5
    },
    Check {
        id: "meta-variables",
        must: "describe each request by the variables of CGI, and by those that PHP and frameworks need",
        why: "RFC 3875, 4.1: a program knows nothing else about the request.",
        hint: "REQUEST_URI is the target as it came, SERVER_NAME has no port, QUERY_STRING is always there.",
        weight: 2,
        run: meta_variables,
        ..STAGE_5
    },
    Check {
        id: "script-name-and-path-info",
        must: "split a path into SCRIPT_NAME and PATH_INFO behind the program, decoded once",
        why: "RFC 3875, 4.1.5 and 4.1.13: both together are the decoded path.",
        hint: "Find the program in the decoded path. The rest is PATH_INFO.",
        weight: 2,
        run: script_name_and_path_info,
        ..STAGE_5
    },
    Check {
        id: "longest-prefix-wins",
        must: "choose the application with the longest prefix, and compare whole segments",
        why: "`/shop` and `/shop/admin` are two applications, and `/shopping` is a file.",
        hint: "A prefix must be followed by a slash or by the end of the path.",
        run: longest_prefix_wins,
        ..STAGE_5
    },
    Check {
        id: "path-info-cannot-climb",
        must: "respond with 404 if the path of a program has a segment `..`, and start nothing",
        why: "CWE-22: programs put PATH_INFO after a folder's name, as PATH_TRANSLATED does.",
        hint: "Look at the decoded path, before you look for a program.",
        run: path_info_cannot_climb,
        ..STAGE_5
    },
    Check {
        id: "prefix-has-one-spelling",
        must: "serve no file below a prefix for another spelling of its path, such as `//`",
        why: "CWE-22: to the file system `//` and `/./` are a slash. A program would be a page, with its passwords.",
        hint: "Look for the application as the system looks for the file.",
        run: prefix_has_one_spelling,
        ..STAGE_5
    },
    Check {
        id: "programs-outside-folder",
        must: "respond with 403 if a program isn't executable, 404 if it is missing or outside its folder",
        why: "CWE-22: to run a file is more dangerous than to read it.",
        hint: "Resolve links, then look where the file is.",
        run: programs_outside_folder,
        ..STAGE_5
    },
    Check {
        id: "unsafe-fields-are-dropped",
        must: "make no variable of a field with `_` in its name, and none of Proxy",
        why: "`X_User` would be taken for `X-User`, and HTTP_PROXY for a setting of programs (CVE-2016-5385).",
        hint: "In a variable's name, `_` means `-`. Drop names that aren't letters, digits and `-`.",
        run: unsafe_fields_are_dropped,
        ..STAGE_5
    },
    Check {
        id: "equal-fields-are-joined",
        must: "join equal fields with `, ` in order, and cookies with `; `",
        why: "RFC 9110, 5.3, and RFC 6265, 5.4: a variable has one value.",
        hint: "Append to a variable that is there already.",
        run: equal_fields_are_joined,
        ..STAGE_5
    },
];

/// Adds a script that shows its environment.
fn add_env(ctx: &TestContext) -> CheckResult<Script> {
    add_script(ctx, &format!("{TEXT}exec env\n"))
}

/// Asks a script for its environment.
fn env(server: &Server, target: &str, fields: &str) -> CheckResult<Response> {
    let response = server.exchange(&request("GET", target, fields))?;
    response.ensure_status(200)?;
    Ok(response)
}

fn cgi_program_responds(ctx: &TestContext) -> CheckResult {
    let (word, kind) = (ctx.site.name(), ctx.site.name());
    let lines = format!(
        "printf 'Content-Type: text/x-{kind}\\n\\n{word} %s\\n\\n{word}' \"$QUERY_STRING\"\n"
    );
    let script = add_script(ctx, &lines)?;
    let mount = format!("/{word}={}", script.path.display());
    let server = start_cgi(ctx, &["--cgi", &mount])?;
    for target in [
        script.target,
        format!("/{word}"),
        format!("/{word}/"),
        format!("/{word}/{kind}/{kind}"),
    ] {
        let query = ctx.site.name();
        let response = server.get(&format!("{target}?{query}"))?;
        response.ensure_serves(format!("{word} {query}\n\n{word}").as_bytes())?;
        response.ensure_field("Content-Type", &format!("text/x-{kind}"))?;
        response.ensure_well_formed()?;
    }
    ensure_alive(ctx, &server)
}

fn meta_variables(ctx: &TestContext) -> CheckResult {
    let script = add_env(ctx)?;
    let server = start_cgi(ctx, &[])?;
    let (value, port, target) = (ctx.site.name(), server.address.port(), &script.target);
    let head = |method: &str, version: &str, fields: &str| {
        format!("{method} {target}?a=%20+&b HTTP/{version}\r\n{fields}\r\n")
    };
    let name = format!("{value}.test");
    let host = format!("Host: {name}:{port}\r\n");
    let posted = format!(
        "{host}X-Lab-Value: {value}\r\nContent-Type: text/{value}; a=b\r\nContent-Length: 3\r\n"
    );
    for (request, lines) in [
        (
            head("GET", "1.1", &format!("{host}User-Agent: {value}\r\n")),
            vec![
                "REQUEST_METHOD=GET".to_string(),
                "SERVER_PROTOCOL=HTTP/1.1".to_string(),
                format!("SERVER_NAME={name}"),
                format!("HTTP_HOST={name}:{port}"),
                format!("HTTP_USER_AGENT={value}"),
            ],
        ),
        (
            head("POST", "1.1", &posted) + "a=b",
            vec![
                "REQUEST_METHOD=POST".to_string(),
                "CONTENT_LENGTH=3".to_string(),
                format!("CONTENT_TYPE=text/{value}; a=b"),
                format!("HTTP_X_LAB_VALUE={value}"),
            ],
        ),
        (
            head("GET", "1.0", ""),
            vec![
                "SERVER_PROTOCOL=HTTP/1.0".to_string(),
                "SERVER_NAME=127.0.0.1".to_string(),
            ],
        ),
    ] {
        let response = server.exchange(request.as_bytes())?;
        response.ensure_status(200)?;
        for line in lines {
            ensure_line(&response, &line)?;
        }
        ensure_server_variables(&response, port, target)?;
    }
    ensure_line(&env(&server, target, "")?, "QUERY_STRING=")?;
    ensure_framework_variables(ctx, &script, &server)
}

/// Fails unless a program was told about the server and about itself.
fn ensure_server_variables(response: &Response, port: u16, target: &str) -> CheckResult {
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "QUERY_STRING=a=%20+&b",
        "REMOTE_ADDR=127.0.0.1",
        &format!("SERVER_PORT={port}"),
        &format!("SCRIPT_NAME={target}"),
    ] {
        ensure_line(response, line)?;
    }
    let text = String::from_utf8_lossy(&response.content);
    let has_software = text
        .lines()
        .any(|line| line.len() > 16 && line.starts_with("SERVER_SOFTWARE="));
    response.ensure(has_software, "the name of the server in SERVER_SOFTWARE")
}

/// Fails unless there are the variables that no RFC has, but PHP and frameworks need.
fn ensure_framework_variables(ctx: &TestContext, script: &Script, server: &Server) -> CheckResult {
    let root = ctx.site.root().display().to_string();
    let target = format!("{}/a%20b?c=%20", script.target);
    let response = env(server, &target, "")?;
    for line in [
        &format!("REQUEST_URI={target}"),
        &format!("SCRIPT_FILENAME={}", script.path.display()),
        &format!("DOCUMENT_ROOT={root}"),
        &format!("PATH_TRANSLATED={root}/a b"),
        "REDIRECT_STATUS=200",
        "REQUEST_SCHEME=http",
    ] {
        ensure_line(&response, line)?;
    }
    let text = String::from_utf8_lossy(&response.content);
    let port = text
        .lines()
        .find_map(|line| line.strip_prefix("REMOTE_PORT="));
    let is_port = port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    response.ensure(is_port, "the client's port in REMOTE_PORT")
}

fn script_name_and_path_info(ctx: &TestContext) -> CheckResult {
    let script = add_env(ctx)?;
    let (short, deep) = (ctx.site.name(), ctx.site.name());
    let path = script.path.display();
    let mounts = [
        format!("/{short}={path}"),
        format!("/{deep}/{short}/={path}"),
    ];
    let server = start_cgi(ctx, &["--cgi", &mounts[0], "--cgi", &mounts[1]])?;
    let whole = start_cgi(ctx, &["--cgi", &format!("/={path}")])?;
    let names = [
        (&server, script.target),
        (&server, format!("/{short}")),
        (&server, format!("/{deep}/{short}")),
        (&whole, String::new()),
    ];
    for (server, name) in names {
        for (rest, info) in [
            ("/", "/"),
            ("/deeper/and%20deeper/", "/deeper/and deeper/"),
            ("/%E4%BD%A0%2Fa+b", "/你/a+b"),
            ("/%252e%2525?c=/d", "/%2e%25"),
            ("?/e", ""),
        ] {
            if name.is_empty() && !rest.starts_with('/') {
                continue;
            }
            let response = env(server, &format!("{name}{rest}"), "")?;
            ensure_line(&response, &format!("SCRIPT_NAME={name}"))?;
            if info.is_empty() {
                ensure_no_line(&response, "PATH_INFO=/")?;
            } else {
                ensure_line(&response, &format!("PATH_INFO={info}"))?;
            }
        }
    }
    Ok(())
}

fn longest_prefix_wins(ctx: &TestContext) -> CheckResult {
    let prefix = ctx.site.name();
    let mut options = Vec::new();
    let mut words = Vec::new();
    for mount in [
        format!("/{prefix}/a"),
        format!("/{prefix}"),
        format!("/{prefix}/a/b"),
    ] {
        let word = ctx.site.name();
        let script = add_script(ctx, &format!("{TEXT}printf {word}\n"))?;
        options.push("--cgi".to_string());
        options.push(format!("{mount}={}", script.path.display()));
        words.push(word);
    }
    let file = ctx.site.add_page(&format!("{prefix}s.html"))?;
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = start_cgi(ctx, &options)?;
    for (rest, word) in [
        ("", &words[1]),
        ("/", &words[1]),
        ("/ab", &words[1]),
        ("/b/a", &words[1]),
        ("/a", &words[0]),
        ("/a/bc", &words[0]),
        ("/%61/c/b", &words[0]),
        ("/a/b", &words[2]),
        ("/a/b/c", &words[2]),
    ] {
        server
            .get(&format!("/{prefix}{rest}"))?
            .ensure_serves(word.as_bytes())?;
    }
    server.get(&file.target())?.ensure_serves(&file.content)
}

fn path_info_cannot_climb(ctx: &TestContext) -> CheckResult {
    let script = add_script(ctx, &format!("touch \"$0.ran\"\n{TEXT}"))?;
    let prefix = ctx.site.name();
    let mount = format!("/{prefix}={}", script.path.display());
    let server = start_cgi(ctx, &["--cgi", &mount])?;
    for start in [&script.target, &format!("/{prefix}")] {
        for rest in ["/..", "/a/../../..", "/%2e%2e/a", "/a%2F..%2fb", "/.%2E/"] {
            server.get(&format!("{start}{rest}"))?.ensure_status(404)?;
        }
    }
    let has_run = script.has_file("ran");
    ensure(!has_run, "no program that has run", "one has left a file")?;
    // A name may begin with dots.
    server
        .get(&format!("/{prefix}/...a/..b"))?
        .ensure_status(200)
}

fn prefix_has_one_spelling(ctx: &TestContext) -> CheckResult {
    let (folder, program, word) = (ctx.site.name(), ctx.site.name(), ctx.site.name());
    let text = format!("#!/bin/sh\n# {word}\n{TEXT}printf program\n");
    let name = format!("{folder}/{program}");
    ctx.site.add(&name, text.as_bytes())?;
    ctx.site.set_mode(&name, 0o755)?;
    let mount = format!("/{folder}={}", ctx.site.path(&folder).display());
    let server = start_with(ctx, Start::default(), &["--cgi", &mount])?;
    server.get(&format!("/{name}"))?.ensure_serves(b"program")?;
    for start in ["//", "///", "/./", "/%2e/", "/.//"] {
        let response = server.get(&format!("{start}{name}"))?;
        let text = String::from_utf8_lossy(&response.content);
        response.ensure(!text.contains(&word), "no source of the program")?;
    }
    ensure_alive(ctx, &server)
}

fn programs_outside_folder(ctx: &TestContext) -> CheckResult {
    let site = &ctx.site;
    let lines = format!("touch \"{}\"\n{TEXT}", site.outside("ran").display());
    let text = format!("#!/bin/sh\n{lines}");
    let inside = add_script(ctx, TEXT)?;
    let outside = site.add_executable("outside/program", &text)?;
    let private = site.name();
    site.add_outside(&format!("programs/{private}"), &text)?;
    let [link, folder] = [site.name(), site.name()];
    let programs = site.outside("programs");
    symlink(&outside, programs.join(&link))?;
    fs::create_dir(programs.join(&folder))?;
    let server = start_cgi(ctx, &[])?;
    let missing = site.name();
    for (rest, status) in [
        (private.as_str(), 403),
        (&missing, 404),
        (&link, 404),
        (&folder, 404),
        ("", 404),
        ("/", 404),
        ("../outside/program", 404),
        ("..%2foutside%2fprogram", 404),
        (&format!("/{}", outside.display()), 404),
    ] {
        server.get(&format!("/cgi/{rest}"))?.ensure_status(status)?;
    }
    let has_run = site.outside("ran").exists();
    ensure(!has_run, "no program that has run", "one has left a file")?;
    server.get(&inside.target)?.ensure_status(200)
}

fn unsafe_fields_are_dropped(ctx: &TestContext) -> CheckResult {
    let script = add_env(ctx)?;
    let server = start_cgi(ctx, &[])?;
    let (good, bad) = (ctx.site.name(), ctx.site.name());
    for fields in [
        format!("X-Lab-User: {good}\r\nX_Lab_User: {bad}\r\nX-Lab_User: {bad}\r\n"),
        format!(
            "X_Lab-User: {bad}\r\nX-Lab-User: {good}\r\nContent_Length: 9\r\nContent_Type: {bad}\r\n"
        ),
    ] {
        let response = env(&server, &script.target, &fields)?;
        ensure_line(&response, &format!("HTTP_X_LAB_USER={good}"))?;
        let text = String::from_utf8_lossy(&response.content);
        response.ensure(
            !text.contains(&bad),
            "no value of a field with `_` in its name",
        )?;
        ensure_no_line(&response, "CONTENT_LENGTH=9")?;
    }
    for name in ["Proxy", "PROXY", "proxy"] {
        let fields = format!("{name}: http://{}/\r\nX-Lab: a\r\n", ctx.site.name());
        let response = env(&server, &script.target, &fields)?;
        ensure_line(&response, "HTTP_X_LAB=a")?;
        ensure_no_line(&response, "HTTP_PROXY=")?;
    }
    Ok(())
}

fn equal_fields_are_joined(ctx: &TestContext) -> CheckResult {
    let script = add_env(ctx)?;
    let server = start_cgi(ctx, &[])?;
    let [one, two, three] = [ctx.site.name(), ctx.site.name(), ctx.site.name()];
    let fields = format!(
        "X-Lab: {one}\r\nCookie: a={one}\r\nx-lab: {two}\r\ncookie: b={two}; c={three}\r\nX-LAB: {three}\r\n"
    );
    let response = env(&server, &script.target, &fields)?;
    ensure_line(&response, &format!("HTTP_X_LAB={one}, {two}, {three}"))?;
    ensure_line(
        &response,
        &format!("HTTP_COOKIE=a={one}; b={two}; c={three}"),
    )?;
    let mut again = server.connect()?;
    again.send(&get(&script.target));
    ensure_no_line(&again.response()?, "HTTP_X_LAB=")
}
