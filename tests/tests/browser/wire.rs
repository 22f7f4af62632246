//! The page `wire.html`: what is picked or typed is sent, and what it shows is what came.

use crate::chromium::Tab;
use crate::stand::{BROKEN, PRIVATE, address};
use crate::{PHONES, must_be, must_be_quiet, must_contain, must_fit, photograph, told_of};
use lab::wire::Client;
use lab::workspace::Stage;
use libtest_mimic::Failed;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the page is.
const PAGE: &str = "/wire.html";

/// A pick, and what must come of it.
struct Pick {
    name: &'static str,
    /// The status codes that the page shows, of stages 1 to 3 and of stage 4.
    shown: [u64; 2],
    /// The status codes that the command gets.
    raw: [u16; 2],
    /// What the page says of the content, or of what kept it from asking.
    says: [&'static str; 2],
}

/// A pick that a browser sends as it stands.
const fn plain(name: &'static str, status: [u64; 2], says: [&'static str; 2]) -> Pick {
    let raw = [status[0] as u16, status[1] as u16];
    Pick {
        name,
        shown: status,
        raw,
        says,
    }
}

const NONE: &str = "None";
const AS_TEXT: [&str; 2] = [
    "guesses: text/plain",
    "text/plain; charset=utf-8, shown as text",
];

/// All picks, in the order in which they stand on the page.
const PICKS: [Pick; 18] = [
    plain("A page", [200, 200], ["guesses: text/plain", "text/html"]),
    plain(
        "The first page",
        [200, 200],
        ["guesses: text/plain", "text/html"],
    ),
    plain("Plain text", [200, 200], AS_TEXT),
    plain("Only the head", [501, 200], [NONE, "never has content"]),
    plain(
        "A picture",
        [200, 200],
        ["guesses: image/jpeg", "is: image/jpeg"],
    ),
    plain(
        "A drawing",
        [200, 200],
        ["guesses: text/plain", "is: image/svg+xml"],
    ),
    plain(
        "A sound",
        [200, 200],
        ["shown as bytes", "audio/wav, shown as bytes"],
    ),
    plain("An escaped name", [404, 200], AS_TEXT),
    plain("A query", [200, 200], AS_TEXT),
    plain("A missing page", [404, 404], ["text/plain", "text/html"]),
    Pick {
        raw: [404, 301],
        ..plain("A folder", [404, 404], ["text/plain", "text/html"])
    },
    plain("A private file", [200, 403], ["text/plain", "text/html"]),
    plain("What is allowed", [501, 204], ["text/plain", NONE]),
    plain("A form", [501, 200], ["text/plain", "text/html"]),
    plain("To delete", [501, 405], ["text/plain", "text/html"]),
    plain("An unknown method", [501, 501], ["text/plain", "text/html"]),
    plain("Out of the folder", [404, 404], ["text/plain", "text/html"]),
    Pick {
        raw: [501, 405],
        ..plain("Trace", [0, 0], ["does not send this with TRACE"; 2])
    },
];

/// What the browser tells the console by itself of the answers with an error that are asked for.
fn told_of_errors() -> Vec<[String; 2]> {
    let errors = [
        (403, "/diary.txt"),
        (404, "/%E4%BD%A0%E5%A5%BD.txt"),
        (404, "/no/such/page"),
        (404, "/media"),
        (404, "/media/"),
        (404, "/Cargo.toml"),
        (404, "/a%20page"),
        (405, "/notes.txt"),
        (501, "/notes.txt"),
        (501, "/MyForm.html"),
        (501, "/coffee"),
    ];
    errors
        .map(|(status, target)| told_of(status, target))
        .into()
}

/// Waits for what comes of a request.
fn settle(tab: &mut Tab) -> Result<(), Failed> {
    tab.until("!document.querySelector('.answer').hidden || document.querySelector('.outcome.bad')")
}

fn text_of(tab: &mut Tab, selector: &str) -> Result<String, Failed> {
    tab.text(&format!("document.querySelector({selector:?}).textContent"))
}

/// What the page shows as the status code; 0: there was no answer.
fn status_of(tab: &mut Tab) -> Result<u64, Failed> {
    if tab.holds("document.querySelector('.answer').hidden")? {
        return Ok(0);
    }
    let line = text_of(tab, ".status-line")?;
    Ok(line.split(' ').next().unwrap_or("").parse()?)
}

/// Types a request in place of the one that is there, and sends it with the keyboard.
fn send(tab: &mut Tab, request: &str) -> Result<(), Failed> {
    tab.fill("#request", request)?;
    tab.press("Enter", 13, 2)?;
    settle(tab)
}

/// The bytes that the command on the page sends, as a shell makes them.
fn bytes_of_command(tab: &mut Tab, stage: &Stage) -> Result<Vec<u8>, Failed> {
    let line = text_of(tab, ".command")?;
    let tail = format!(" | nc 127.0.0.1 {}", stage.port);
    let print = line
        .strip_suffix(&tail)
        .ok_or_else(|| Failed::from(format!("the command should end in `{tail}`: {line}")))?;
    let output = Command::new("sh").args(["-c", print]).output()?;
    match output.status.success() && output.stderr.is_empty() {
        true => Ok(output.stdout),
        false => Err(format!("{print}: {output:?}").into()),
    }
}

/// What the server answers to these bytes.
fn raw_status(server: SocketAddr, bytes: &[u8]) -> Result<u16, Failed> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let nothing_secret = b"there is no such secret".as_slice().into();
    let answer = Client::connect(server, nothing_secret, deadline)
        .and_then(|mut client| {
            client.send(bytes);
            client.answer()
        })
        .map_err(|trouble| format!("{trouble:?}"))?;
    Ok(answer.status)
}

/// Each button sends its request; what is shown is what came, and the command gets the same.
pub fn every_pick_is_answered(
    tab: &mut Tab,
    stage: &'static Stage,
    server: SocketAddr,
) -> Result<(), Failed> {
    tab.open(&address(stage, PAGE))?;
    let count = tab.evaluate("document.querySelectorAll('.picks button').length")?;
    must_be("the number of picks", count, Value::from(PICKS.len()))?;
    let which = usize::from(stage.number == 4);
    for (place, pick) in PICKS.iter().enumerate() {
        let button = format!(".picks button:nth-child({})", place + 1);
        must_be("the pick", text_of(tab, &button)?.as_str(), pick.name)?;
        tab.click(&button)?;
        settle(tab)?;
        let told = |what: &str| format!("{what} of `{}`", pick.name);
        must_be(&told("the status"), status_of(tab)?, pick.shown[which])?;
        let says = match pick.shown[which] {
            0 => text_of(tab, ".outcome")?,
            _ => text_of(tab, ".kind")?,
        };
        must_contain(&told("the kind"), &says, pick.says[which])?;
        must_show_the_content(tab, &told("the content"))?;
        let bytes = bytes_of_command(tab, stage)?;
        must_be(
            &told("the status of the command"),
            raw_status(server, &bytes)?,
            pick.raw[which],
        )?;
    }
    must_follow_the_rules(tab, stage)?;
    must_be_quiet(tab, &told_of_errors())
}

/// A picture is decoded; text and bytes are there.
fn must_show_the_content(tab: &mut Tab, what: &str) -> Result<(), Failed> {
    let shown = tab.holds(
        "(async () => {
           const shown = document.querySelector('.content').firstElementChild;
           if (shown?.tagName !== 'IMG') return !shown || shown.textContent.length > 0;
           await shown.decode();
           return shown.naturalWidth > 0;
         })()",
    )?;
    must_be(what, shown, true)
}

/// What the page says besides: redirects, fields that differ, and the end of a form.
fn must_follow_the_rules(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    pick(tab, "Out of the folder")?;
    let notes = text_of(tab, ".notes")?;
    must_contain(
        "the notes",
        &notes,
        "asks for /Cargo.toml, and not for /../Cargo.toml",
    )?;
    pick(tab, "A folder")?;
    let redirected = text_of(tab, ".notes")?.contains("went on to /media/:");
    must_be("is a redirect told", redirected, stage.number == 4)?;
    pick(tab, "What is allowed")?;
    let fields = text_of(tab, ".fields")?;
    must_be(
        "is Allow shown",
        fields.contains("allowGET, HEAD, OPTIONS, POST"),
        stage.number == 4,
    )?;
    pick(tab, "A form")?;
    let content = text_of(tab, ".content")?;
    must_be(
        "is the form answered",
        content.contains("&lt;script&gt; &amp; more"),
        stage.number == 4,
    )?;
    pick(tab, "Plain text")?;
    let fields = text_of(tab, ".fields")?;
    must_contain("the fields", &fields, &format!("server{}", stage.name))?;
    for field in ["content-type", "content-length"] {
        must_be(field, fields.contains(field), stage.number == 4)?;
    }
    let notes = include_str!("../../../html/notes.txt");
    must_be("the content", text_of(tab, ".content")?.as_str(), notes)?;
    let time = text_of(tab, ".time")?;
    must_contain("the time", &time, &format!(": {} bytes.", notes.len()))?;
    for width in PHONES {
        tab.resize(width)?;
        must_fit(tab, width)?;
    }
    photograph(tab, stage, "wire-text")?;
    pick(tab, "A picture")?;
    photograph(tab, stage, "wire-picture")
}

/// Picks a request by its name.
fn pick(tab: &mut Tab, name: &str) -> Result<(), Failed> {
    tab.evaluate(&format!(
        "Array.from(document.querySelectorAll('.picks button'))
           .find((button) => button.textContent === {name:?}).click()"
    ))?;
    settle(tab)
}

/// A request that was typed is sent, by the button as by the keyboard.
pub fn what_is_typed_is_sent(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, PAGE))?;
    tab.fill(
        "#request",
        "GET /diary.txt HTTP/1.1\nX-Odd: 1\nHost: elsewhere\n\n",
    )?;
    tab.click("form.wire button")?;
    settle(tab)?;
    let wanted = if stage.number == 4 { 403 } else { 200 };
    must_be("the status", status_of(tab)?, wanted)?;
    let private = text_of(tab, ".content")?.contains(PRIVATE.1.trim());
    must_be("is the private file shown", private, stage.number < 4)?;
    must_contain(
        "the notes",
        &text_of(tab, ".notes")?,
        "Not yours to set in a browser: Host.",
    )?;

    send(tab, "GET /a page HTTP/1.0\n\nsome content")?;
    must_be("the status", status_of(tab)?, 404)?;
    let notes = text_of(tab, ".notes")?;
    for part in [
        "asks for /a%20page",
        "HTTP/1.1, and not HTTP/1.0",
        "no content with GET",
    ] {
        must_contain("the notes", &notes, part)?;
    }
    must_be_quiet(tab, &told_of_errors())
}

/// An address may bring a target along.
pub fn an_address_fills_in(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, "/wire.html#/contact.html?a=1"))?;
    let request =
        |target: &str| format!("GET {target} HTTP/1.1\nHost: 127.0.0.1:{}\n\n", stage.port);
    let shown = "document.querySelector('#request').value";
    must_be(
        "the request",
        tab.text(shown)?,
        request("/contact.html?a=1"),
    )?;
    let wanted = request("/contact.html?a=1").replace('\n', "\r\n");
    let bytes = bytes_of_command(tab, stage)?;
    must_be(
        "the bytes",
        String::from_utf8_lossy(&bytes).as_ref(),
        wanted.as_str(),
    )?;
    tab.evaluate("location.hash = '#/notes.txt'")?;
    tab.until(&format!("{shown} === {:?}", request("/notes.txt")))?;
    must_be_quiet(tab, &[])
}

/// What cannot be sent is named, and the next request is sent all the same.
pub fn what_is_wrong_is_named(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, PAGE))?;
    for (request, message) in [
        ("", "There is no request line."),
        ("\nGET / HTTP/1.1\n\n", "There is no request line."),
        ("GET /", "“GET /” is no request line."),
        (
            "GET notes.txt HTTP/1.1\n\n",
            "The target “notes.txt” does not begin with a slash",
        ),
        (
            "OPTIONS * HTTP/1.1\n\n",
            "The target “*” does not begin with a slash",
        ),
        ("GET / HTTP/1.1\nHost : a\n\n", "“Host : a” is no field."),
        (
            "GET / HTTP/1.1\nX-Name: 你\n\n",
            "The browser does not send this with GET",
        ),
    ] {
        send(tab, request)?;
        must_be("the status", status_of(tab)?, 0)?;
        must_contain("the message", &text_of(tab, ".outcome")?, message)?;
    }
    send(tab, "GET /notes.txt HTTP/1.1")?;
    must_be("the status", status_of(tab)?, 200)?;
    must_contain("the notes", &text_of(tab, ".notes")?, "no empty line")?;
    must_be_quiet(tab, &[])
}

/// The command is exact, whatever stands in the request.
pub fn the_command_sends_what_is_typed(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, PAGE))?;
    let content = "a 'quote' \"two\" 100% \\n \\\\ $HOME `id` !1\ttab\nend";
    for (request, sent) in [
        (
            format!("POST /你?50%25 HTTP/1.1\nX-A: it's 5 % \\x\n\n{content}"),
            format!("POST /你?50%25 HTTP/1.1\r\nX-A: it's 5 % \\x\r\n\r\n{content}"),
        ),
        ("-n\n\n".to_string(), "-n\r\n\r\n".to_string()),
        (
            "GET / HTTP/1.1\nHost: a\n\n".to_string(),
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_string(),
        ),
        (
            "GET / HTTP/1.1\n".to_string(),
            "GET / HTTP/1.1\r\n".to_string(),
        ),
        ("-1 8\u{7f}9".to_string(), "-1 8\u{7f}9\r\n".to_string()),
        (String::new(), String::new()),
    ] {
        tab.fill("#request", &request)?;
        let bytes = bytes_of_command(tab, stage)?;
        must_be(
            "the bytes",
            bytes.escape_ascii().to_string(),
            sent.as_bytes().escape_ascii().to_string(),
        )?;
    }
    Ok(())
}

/// The button copies the command, or marks it where it may not.
pub fn the_command_is_copied(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, PAGE))?;
    tab.click("button.copy")?;
    tab.until("document.querySelector('.copied').textContent !== ''")?;
    let said = text_of(tab, ".copied")?;
    let marked = tab.text("getSelection().toString()")?;
    let command = text_of(tab, ".command")?;
    match said.as_str() {
        "Copied." => Ok(()),
        _ => must_be("what is marked", marked, command),
    }
}

/// An answer that breaks off, or never comes, is told in a sentence, with a way out.
pub fn a_broken_answer_is_told(tab: &mut Tab) -> Result<(), Failed> {
    tab.open(&format!("{BROKEN}/wire.html"))?;
    send(tab, "GET /cut HTTP/1.1\n\n")?;
    let said = text_of(tab, ".outcome")?;
    // The browser may throw away what had come before.
    let cut = "cut short: Content-Length promised 100 bytes, and";
    must_contain("the outcome", &said, cut)?;
    must_contain("the way out", &said, "and send once more")?;
    send(tab, "GET /gone HTTP/1.1\n\n")?;
    let said = text_of(tab, ".outcome")?;
    must_contain("the outcome", &said, "No answer came")?;
    must_contain(
        "the way out",
        &said,
        "Does the server still run at 127.0.0.1:9002?",
    )?;
    send(tab, "GET /notes.txt HTTP/1.1\n\n")?;
    must_be("the status", status_of(tab)?, 200)
}
