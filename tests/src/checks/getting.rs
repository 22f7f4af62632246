//! Getting: what is there comes as it is, in a well-formed answer.

use crate::bench::{Bench, PATIENCE};
use crate::check::{COMMON, Check, Outcome, Trouble};
use crate::wire::{Ending, get, request, strict_fault};

pub const CHECKS: &[Check] = &[
    Check {
        id: "index-at-slash",
        must: "`/` shows index.html",
        why: "The shortest address of a site must lead somewhere.",
        hint: "A path that ends in a slash means the index.html of that folder.",
        run: index_at_slash,
        ..COMMON
    },
    Check {
        id: "named-file",
        must: "a file is served by its name, again and again",
        why: "RFC 9110, 9.3.1: GET transfers what the target names now.",
        hint: "The path in the request line is relative to the document root.",
        needs: &[],
        weight: 2,
        run: named_file,
        ..COMMON
    },
    Check {
        id: "nested-folder",
        must: "files in folders are served, and a folder's index.html at its slash",
        why: "A path may have more than one part.",
        hint: "What holds for `/` holds for every path that ends in a slash.",
        run: nested_folder,
        ..COMMON
    },
    Check {
        id: "query-is-cut-off",
        must: "what follows a `?` is no part of the file's name",
        why: "RFC 3986, 3.4: the query is a part of the target beside the path.",
        hint: "Cut the target at its first question mark.",
        run: query_is_cut_off,
        ..COMMON
    },
    Check {
        id: "every-byte-survives",
        must: "content with all 256 byte values arrives as it is",
        why: "Content is bytes, not text: who decodes it breaks every picture.",
        hint: "Read and write bytes; never go by way of a string.",
        run: every_byte_survives,
        ..COMMON
    },
    Check {
        id: "empty-file",
        must: "an empty file is status 200 without content",
        why: "Nothing is a content too: the file is there.",
        hint: "Do not take a length of 0 for a failure.",
        run: empty_file,
        ..COMMON
    },
    Check {
        id: "large-file",
        must: "a file of 16 MiB arrives whole and exact",
        why: "One write may take only a part of what it is given (write(2)).",
        hint: "Look at what the call that sends returns, and send the rest.",
        run: large_file,
        ..COMMON
    },
    Check {
        id: "changed-file",
        must: "a file that changes between two requests is served as it is now",
        why: "RFC 9110, 9.3.1: the current representation.",
        hint: "Do not keep what you have read for the next request.",
        run: changed_file,
        ..COMMON
    },
    Check {
        id: "well-formed-answer",
        must: "status line and header fields are formed as RFC 9112 says, with CRLF",
        why: "RFC 9112, 4 and 5: a strict client refuses anything else.",
        hint: "HTTP/1.1, one space, three digits, one space, a phrase; every line ends in CRLF.",
        weight: 2,
        run: well_formed_answer,
        ..COMMON
    },
    Check {
        id: "connection-close",
        must: "every answer says `Connection: close`, and the server closes behind it",
        why: "RFC 9112, 9.6: a client must know that no further answer will come.",
        hint: "Send the field, and close when the answer is out, even if the client stays.",
        run: connection_close,
        ..COMMON
    },
    Check {
        id: "server-names-itself",
        must: "every answer has a `Server` field",
        why: "RFC 9110, 10.2.4: it tells who answered; in this lab, which stage.",
        hint: "Send it with the errors as well.",
        run: server_names_itself,
        ..COMMON
    },
    Check {
        id: "absolute-form",
        must: "`GET http://host/path` is answered like `GET /path`",
        why: "RFC 9112, 3.2.2: a server must accept what clients send to a proxy.",
        hint: "Cut off scheme and host; a target without a path means `/`.",
        run: absolute_form,
        ..COMMON
    },
    Check {
        id: "answers-http-1-0",
        must: "a request in HTTP/1.0 is answered, in the same version as one in HTTP/1.1",
        why: "RFC 9112, 2.3: a server answers in the highest version that it speaks.",
        hint: "The version in the status line is yours, not the client's.",
        run: answers_http_1_0,
        ..COMMON
    },
];

/// A request that is 400, and yet names a version: without one, a server may take it for
/// HTTP/0.9, and send an answer without a head.
const MALFORMED: &[u8] = b"GET / / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn index_at_slash(bench: &Bench) -> Outcome {
    bench.start()?.get("/")?.must_serve(&bench.site.index)
}

fn named_file(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for _ in 0..3 {
        server
            .get(&bench.site.page.target())?
            .must_serve(&bench.site.page.content)?;
        server.get("/index.html")?.must_serve(&bench.site.index)?;
    }
    Ok(())
}

fn nested_folder(bench: &Bench) -> Outcome {
    let folder = format!("{}/{}", bench.site.name(), bench.site.name());
    let index = bench.site.add_page(&format!("{folder}/index.html"))?;
    let server = bench.start()?;
    server
        .get(&bench.site.nested.target())?
        .must_serve(&bench.site.nested.content)?;
    server.get(&index.target())?.must_serve(&index.content)?;
    server
        .get(&format!("/{folder}/"))?
        .must_serve(&index.content)
}

fn query_is_cut_off(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for query in ["?", "?name=666&age=12", "?a=/../b?c"] {
        let target = format!("{}{query}", bench.site.page.target());
        server.get(&target)?.must_serve(&bench.site.page.content)?;
    }
    server.get("/?page=1")?.must_serve(&bench.site.index)
}

fn every_byte_survives(bench: &Bench) -> Outcome {
    let mut content: Vec<u8> = (0..=255).collect();
    content.extend_from_slice(b"\r\n\r\n\n\n\0\xff\xfe");
    content.extend(bench.site.bytes(1000));
    let file = bench.site.add(&bench.site.name(), &content)?;
    bench.start()?.get(&file.target())?.must_serve(&content)
}

fn empty_file(bench: &Bench) -> Outcome {
    let file = bench.site.add(&format!("{}.txt", bench.site.name()), b"")?;
    bench.start()?.get(&file.target())?.must_serve(b"")
}

fn large_file(bench: &Bench) -> Outcome {
    let content = bench.site.bytes(16 * 1024 * 1024);
    let file = bench.site.add(&bench.site.name(), &content)?;
    bench.start()?.get(&file.target())?.must_serve(&content)
}

fn changed_file(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let name = format!("{}.txt", bench.site.name());
    for length in [10, 2000, 3] {
        let file = bench.site.add(&name, &bench.site.bytes(length))?;
        server.get(&file.target())?.must_serve(&file.content)?;
    }
    std::fs::remove_file(bench.site.path(&name))?;
    server.get(&format!("/{name}"))?.must_have_status(404)
}

fn well_formed_answer(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let missing = format!("/{}", bench.site.name());
    for request in [
        get("/"),
        get(&missing),
        b"no request\r\n\r\n".to_vec(),
        b"GET / HTTP/3.0\r\n\r\n".to_vec(),
        request("BREW", "/", ""),
    ] {
        let answer = server.ask(&request)?;
        if let Some(fault) = strict_fault(&answer.raw) {
            return answer.must(false, format!("a well-formed answer, but {fault}"));
        }
    }
    for request in [
        get(&format!("/{}", "a".repeat(9_000))),
        request("GET", "/", &format!("A: {}\r\n", "a".repeat(20_000))),
    ] {
        let mut client = server.connect()?;
        client.send(&request);
        let (bytes, ending) = client.read(PATIENCE)?;
        // Whether such an answer arrives whole is for other checks to say.
        let fault = strict_fault(&bytes).filter(|_| ending == Ending::Closed);
        if let Some(fault) = fault {
            let received = bytes.escape_ascii().to_string();
            let expected = format!("a well-formed answer, but {fault}");
            return Err(Trouble::after(&request, expected, received));
        }
    }
    Ok(())
}

fn connection_close(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for request in [
        get("/"),
        get(&format!("/{}", bench.site.name())),
        MALFORMED.to_vec(),
    ] {
        let answer = server.ask(&request)?;
        let close = answer
            .field("connection")
            .is_some_and(|v| v.eq_ignore_ascii_case("close"));
        answer.must(close, "the field `Connection: close`")?;
        // Once more, with eyes on the end alone: this client does not close first.
        let mut client = server.connect()?;
        client.send(&request);
        let (_, ending) = client.read(PATIENCE)?;
        if ending != Ending::Closed {
            let received = ending.to_string();
            return Err(Trouble::after(
                &request,
                "the close of the connection",
                received,
            ));
        }
    }
    Ok(())
}

fn server_names_itself(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for request in [
        get("/"),
        get(&format!("/{}", bench.site.name())),
        MALFORMED.to_vec(),
    ] {
        let answer = server.ask(&request)?;
        let named = answer.field("server").is_some_and(|name| !name.is_empty());
        answer.must(named, "a field `Server` with a name")?;
    }
    Ok(())
}

fn absolute_form(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let target = bench.site.page.target();
    server
        .get(&format!("http://localhost{target}"))?
        .must_serve(&bench.site.page.content)?;
    server
        .get(&format!("HTTP://a.b:80{target}?c"))?
        .must_serve(&bench.site.page.content)?;
    server
        .get("http://localhost")?
        .must_serve(&bench.site.index)
}

fn answers_http_1_0(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let answer = server.ask(b"GET / HTTP/1.0\r\n\r\n")?;
    answer.must_serve(&bench.site.index)?;
    // Which version that must be is for `well-formed-answer` to say.
    let version = |raw: &[u8]| {
        raw.iter()
            .take_while(|byte| **byte != b' ')
            .copied()
            .collect()
    };
    let own: Vec<u8> = version(&server.get("/")?.raw);
    answer.must(
        version(&answer.raw) == own,
        format!("a status line with {}", own.escape_ascii()),
    )
}
