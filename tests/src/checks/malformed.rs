//! Malformed: what is no request, or one that cannot be understood, is refused; the server
//! goes on.

use crate::bench::Bench;
use crate::check::{COMMON, Check, Outcome, Trouble};
use crate::checks::faults::LATEST;
use crate::server::{Server, Start};
use crate::wire::{Ending, get, post, request};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

pub const CHECKS: &[Check] = &[
    Check {
        id: "empty-connection",
        must: "clients that connect and leave without a word do no harm",
        why: "Browsers open spare connections. In two source versions one ended the server.",
        hint: "An empty read is the end of the connection, not a request.",
        run: empty_connection,
        ..COMMON
    },
    Check {
        id: "garbage",
        must: "a first line that is no request line is 400",
        why: "RFC 9112, 3: an invalid request line should be answered 400.",
        hint: "One pattern for the whole line; what does not fit is refused.",
        weight: 2,
        run: garbage,
        ..COMMON
    },
    Check {
        id: "tls-hello",
        waits: true,
        must: "a client that begins to speak TLS is refused or closed, and does no harm",
        why: "Whoever types https:// by mistake sends this.",
        hint: "Bytes without a line end are an unfinished head, and time runs out for it.",
        run: tls_hello,
        ..COMMON
    },
    Check {
        id: "versions",
        must: "no version or a malformed one is 400; another major version is 505",
        why: "RFC 9112, 2.3 and RFC 9110, 15.6.6.",
        hint: "HTTP/1.0 and HTTP/1.1 are fine. The letters are upper case.",
        run: versions,
        ..COMMON
    },
    Check {
        id: "methods",
        must: "a method that is no token is 400, one that nobody knows 501",
        why: "RFC 9110, 9.1 and 15.6.2; methods are case-sensitive.",
        hint: "First ask whether it could be a method, then whether it is yours.",
        run: methods,
        ..COMMON
    },
    Check {
        id: "only-get-is-implemented",
        stages: 1..=3,
        must: "HEAD, POST and OPTIONS are 501, and the answer to HEAD has no content",
        why: "RFC 9110, 9.3.2: the answer to HEAD never has content, whatever its status.",
        hint: "501 says: this server does not have that method.",
        run: only_get_is_implemented,
        ..COMMON
    },
    Check {
        id: "target-forms",
        must: "a target that is neither a path nor an http address is 400",
        why: "RFC 9112, 3.2 lists the forms of a request target.",
        hint: "A path begins with a slash.",
        run: target_forms,
        ..COMMON
    },
    Check {
        id: "long-request-line",
        must: "a request line over 8,000 bytes is 414, one of 8,000 is understood",
        why: "RFC 9112, 3 asks for 8,000; without a bound, a client can fill the memory.",
        hint: "Count while you read: an endless line never shows its end.",
        run: long_request_line,
        ..COMMON
    },
    Check {
        id: "long-head",
        must: "a head over 16 KiB is 431, one of 16 KiB is understood",
        why: "RFC 6585, 5; without a bound, a client can fill the memory.",
        hint: "Count while you read, all lines together.",
        run: long_head,
        ..COMMON
    },
    Check {
        id: "mutations",
        must: "300 requests with random faults are each answered or closed; the server goes on",
        why: "Nobody thinks of every fault: chance thinks of more.",
        hint: "No client may end the server: look for what panics or stops.",
        run: mutations,
        ..COMMON
    },
];

fn empty_connection(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for _ in 0..20 {
        drop(server.connect()?);
        let mut client = server.connect()?;
        client.send(b"GET / HT");
        drop(client);
    }
    server.get("/")?.must_serve(&bench.site.index)?;
    server.must_not_have_panicked()
}

/// Each request gets this status, and the server goes on.
fn must_all_be(bench: &Bench, status: u16, requests: &[Vec<u8>]) -> Outcome {
    let server = bench.start()?;
    for request in requests {
        server.ask(request)?.must_have_status(status)?;
    }
    server.get("/")?.must_serve(&bench.site.index)
}

fn garbage(bench: &Bench) -> Outcome {
    let mut noise = bench.site.bytes(200);
    noise.retain(|byte| !b"\r\n".contains(byte));
    noise.insert(0, b'\x01');
    let mut requests = vec![[noise.as_slice(), b"\r\n\r\n"].concat()];
    for line in [
        "garbage",
        "GET",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / / HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "HTTP/1.1 200 OK",
    ] {
        requests.push(format!("{line}\r\nHost: a\r\n\r\n").into_bytes());
    }
    must_all_be(bench, 400, &requests)
}

fn tls_hello(bench: &Bench) -> Outcome {
    let server = bench.start_with(Start::impatient())?;
    // A record of type handshake with a ClientHello in it (RFC 8446, 4.1.2 and 5.1).
    let mut hello = b"\x16\x03\x01\x00\x8f\x01\x00\x00\x8b\x03\x03".to_vec();
    hello.extend(bench.site.bytes(32).iter().map(|byte| byte | 0x80));
    hello.extend_from_slice(b"\x00\x00\x04\x13\x01\x13\x02\x01\x00\x00\x5e");
    hello.resize(5 + 0x8f, 0);
    let mut client = server.connect()?;
    client.send(&hello);
    client.must_end_within(LATEST)?;
    drop(client);
    server.get("/")?.must_serve(&bench.site.index)
}

fn versions(bench: &Bench) -> Outcome {
    let with = |version: &str| format!("GET /{version}\r\nHost: a\r\n\r\n").into_bytes();
    let malformed = [
        "",
        " ",
        " http/1.1",
        " HTTP/1",
        " HTTP/1.1.1",
        " HTTP/one",
        " HTTP 1.1",
    ];
    must_all_be(bench, 400, &malformed.map(with))?;
    must_all_be(
        bench,
        505,
        &[" HTTP/2.0", " HTTP/0.9", " HTTP/3.1"].map(with),
    )?;
    // The lab refuses it, RFC 9110, 2.5, would take it for 1.1; the major version is known.
    let answer = bench.start()?.ask(&with(" HTTP/1.2"))?;
    answer.must(matches!(answer.status, 200 | 400), "status 400, or 200")
}

fn methods(bench: &Bench) -> Outcome {
    let with = |method: &str| request(method, "/", "");
    must_all_be(
        bench,
        400,
        &["G@T", "GET:", "(GET)", "\"GET\"", "G\x01T"].map(with),
    )?;
    must_all_be(
        bench,
        501,
        &["BREW", "get", "Get", "GETS", "M-SEARCH"].map(with),
    )
}

fn only_get_is_implemented(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for method in ["HEAD", "POST", "OPTIONS", "PUT", "DELETE"] {
        let answer = server.ask(&request(method, "/", ""))?;
        answer.must_have_status(501)?;
        let has_content = !answer.content.is_empty();
        answer.must(
            has_content == (method != "HEAD"),
            "content, but none for HEAD",
        )?;
    }
    // The body is never read, and the answer arrives even so.
    server
        .ask(&post("/", &bench.site.bytes(1024 * 1024)))?
        .must_have_status(501)
}

fn target_forms(bench: &Bench) -> Outcome {
    let with = |target: &str| request("GET", target, "");
    let targets = [
        "*",
        "index.html",
        "localhost:80",
        "http:/a",
        "http://",
        "http:///a",
        "http://?a",
        "ftp://a/b",
        "?a",
    ];
    must_all_be(bench, 400, &targets.map(with))
}

fn long_request_line(bench: &Bench) -> Outcome {
    // A part as long as a name may be, again and again.
    let target = |length: usize| {
        let mut target = format!("/{}", "a".repeat(200)).repeat(length / 201 + 1);
        target.truncate(length);
        target
    };
    // How long the line is besides: the line end is no part of it (RFC 9112, 3).
    let besides = "GET  HTTP/1.1".len();
    let server = bench.start()?;
    for length in [7_900, 8_000] {
        let target = target(length - besides);
        server.get(&target)?.must_have_status(404)?;
    }
    for length in [8_001, 8_100, 12_000] {
        let target = target(length - besides);
        server.get(&target)?.must_have_status(414)?;
    }
    // One that never ends.
    let mut client = server.connect()?;
    client.send(format!("GET {}", target(8_200)).as_bytes());
    client.answer()?.must_have_status(414)?;
    drop(client);
    server.get("/")?.must_serve(&bench.site.index)
}

fn long_head(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    // Few and long: how many there may be is not what is asked here.
    let field = format!("A-Field: {}\r\n", "a".repeat(389));
    let fields = |length: usize| field.repeat(length.div_ceil(field.len()));
    // A head of that many bytes in all.
    let head = |length: usize| {
        let fields = fields(15_000);
        let left = length - request("GET", "/", &fields).len() - "A: \r\n".len();
        request("GET", "/", &format!("{fields}A: {}\r\n", "a".repeat(left)))
    };
    for length in [16_000, 16_384] {
        server.ask(&head(length))?.must_serve(&bench.site.index)?;
    }
    // Over it even for those who do not count the empty line.
    for length in [16_387, 17_000] {
        server.ask(&head(length))?.must_have_status(431)?;
    }
    let one_line = format!("A: {}\r\n", "a".repeat(17_000));
    server
        .ask(&request("GET", "/", &one_line))?
        .must_have_status(431)?;
    // Heads that never end.
    for rest in [fields(17_000), fields(16_000) + &"a".repeat(500)] {
        let mut client = server.connect()?;
        client.send(format!("GET / HTTP/1.1\r\n{rest}").as_bytes());
        client.answer()?.must_have_status(431)?;
    }
    server.get("/")?.must_serve(&bench.site.index)
}

/// A good request in which a few bytes are changed, cut out, doubled or put in.
fn mutate(bench: &Bench, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=bench.site.below(4) {
        if bytes.is_empty() {
            break;
        }
        let place = bench.site.below(bytes.len());
        let random = bench.site.bytes(1)[0];
        let telling = b"\r\n\0 :/?%.\xff"[bench.site.below(10)];
        match bench.site.below(5) {
            0 => bytes[place] = random,
            1 => bytes[place] = telling,
            2 => drop(bytes.remove(place)),
            3 => bytes.insert(place, telling),
            _ => {
                let piece = bytes[place..].to_vec();
                bytes.extend_from_slice(&piece);
            }
        }
    }
    bytes
}

fn mutations(bench: &Bench) -> Outcome {
    const COUNT: usize = 300;
    const CLIENTS: usize = 4;
    let server = bench.start()?;
    let fields = "Content-Length: 3\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n";
    let good = [
        get(&bench.site.page.target()),
        request("POST", "/MyForm.html", fields),
    ];
    let mutants: Vec<Vec<u8>> = (0..COUNT)
        .map(|turn| mutate(bench, good[turn % 2].clone()))
        .collect();
    let next = AtomicUsize::new(0);
    let send = || -> Outcome {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            must_come_to_an_end(&server, mutant)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
        let panicked = |_| Err(Trouble::Broken("a client panicked".to_string()));
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(panicked))
    })?;
    server.get("/")?.must_serve(&bench.site.index)?;
    server.must_not_have_panicked()
}

/// A client that has said all it has to say is answered or closed.
fn must_come_to_an_end(server: &Server, bytes: &[u8]) -> Outcome {
    let mut client = server.connect()?;
    client.send(bytes);
    client.finish_sending();
    match client.read(Duration::from_secs(5))? {
        (_, Ending::Open) => Err(Trouble::after(bytes, "an answer, or the end", "neither")),
        _ => Ok(()),
    }
}
