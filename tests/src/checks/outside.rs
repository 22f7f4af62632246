//! Missing and outside: what is not there, or not in there, is 404, and nobody waits for it.

use crate::bench::Bench;
use crate::check::{COMMON, Check, Outcome};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

pub const CHECKS: &[Check] = &[
    Check {
        id: "missing-file",
        must: "a file that is not there is 404 with some content, and the server goes on",
        why: "RFC 9110, 15.5.5. In the first source version this answer ended the server.",
        hint: "A missing file is an ordinary answer, not an error of the program.",
        weight: 2,
        run: missing_file,
        ..COMMON
    },
    Check {
        id: "folder-is-no-file",
        must: "a folder is never served as a file; without index.html it is 404 at its slash",
        why: "A folder can be opened like a file on some systems, but not read.",
        hint: "Ask what it is that you have found.",
        run: folder_is_no_file,
        ..COMMON
    },
    Check {
        id: "no-climbing",
        must: "a path with `..` that leads out of the document root is 404",
        why: "CWE-22, path traversal: `GET /../../etc/passwd` must not work.",
        hint: "Look at the parts of the path, and at where it really leads.",
        weight: 2,
        run: no_climbing,
        ..COMMON
    },
    Check {
        id: "no-climbing-in-disguise",
        must: "no encoded or doubled `..` and no backslash leads out: such a path is refused",
        why: "CWE-22: whoever decodes after the check has checked nothing.",
        hint: "Decode at most once, and judge what comes out of it.",
        run: no_climbing_in_disguise,
        ..COMMON
    },
    Check {
        id: "no-absolute-path",
        must: "no path with many slashes in front leads out: what is not below the root is refused",
        why: "In one source version, `GET //etc/passwd` left the root.",
        hint: "Joining a folder and an absolute path gives the absolute path: cut all slashes.",
        run: no_absolute_path,
        ..COMMON
    },
    Check {
        id: "link-out-of-the-root",
        must: "a symbolic link that leads out of the document root is 404",
        why: "CWE-59: a link is a path in disguise.",
        hint: "Let the system resolve all links, then look where you are.",
        run: link_out_of_the_root,
        ..COMMON
    },
    Check {
        id: "link-inside-the-root",
        must: "a symbolic link that stays inside the document root is followed",
        why: "Not the link is the danger, but where it leads.",
        hint: "The root may itself lie behind a link: resolve it too.",
        run: link_inside_the_root,
        ..COMMON
    },
    Check {
        id: "odd-bytes-in-the-target",
        must: "NUL and bytes that are no UTF-8 in the target are 404 or 400",
        why: "C cuts a string at its NUL: what is checked is not what is opened.",
        hint: "A name that the system cannot have names no file.",
        run: odd_bytes_in_the_target,
        ..COMMON
    },
    Check {
        id: "fifo-without-waiting",
        must: "a FIFO is 404, at once",
        why: "open(2) on a FIFO waits for a writer, perhaps for ever.",
        hint: "Ask what it is before you open it.",
        run: fifo_without_waiting,
        ..COMMON
    },
    Check {
        id: "socket-without-waiting",
        must: "a socket in the file system is 404, at once",
        why: "Not all that has a name in a folder is a file.",
        hint: "Serve regular files, and nothing else.",
        run: socket_without_waiting,
        ..COMMON
    },
];

fn missing_file(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    for target in [
        format!("/{}", bench.site.name()),
        format!("/{}/", bench.site.name()),
        format!("{}/", bench.site.page.target()),
        format!("{}/x", bench.site.page.target()),
        format!("/{}", "x".repeat(5000)),
    ] {
        let answer = server.get(&target)?;
        answer.must_have_status(404)?;
        answer.must(
            !answer.content.is_empty(),
            "some content that says what is wrong",
        )?;
        server.get("/")?.must_serve(&bench.site.index)?;
    }
    Ok(())
}

fn folder_is_no_file(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let (folder, _) = bench.site.nested.name.split_once('/').unwrap_or_default();
    server.get(&format!("/{folder}/"))?.must_have_status(404)?;
    // Without its slash: stage 4 shows the way to it.
    let answer = server.get(&format!("/{folder}"))?;
    answer.must(
        matches!(answer.status, 301 | 302 | 307 | 308 | 404),
        "status 404, or a redirect to the slash",
    )?;
    // A folder in the place of the index.
    let name = bench.site.name();
    bench
        .site
        .add_page(&format!("{name}/index.html/{name}.html"))?;
    server.get(&format!("/{name}/"))?.must_have_status(404)
}

/// Each target is 404, and what it might have led to is not in the answer: the clients
/// of every check look for the secret in whatever they read.
fn must_all_be_404(bench: &Bench, targets: &[String]) -> Outcome {
    let server = bench.start()?;
    for target in targets {
        server.get(target)?.must_have_status(404)?;
    }
    Ok(())
}

/// Each target is refused. Which refusal it must be is for `no-climbing` to say: with 400
/// or 403 nothing leaks either.
fn must_all_be_refused(bench: &Bench, targets: &[String]) -> Outcome {
    let server = bench.start()?;
    for target in targets {
        let answer = server.get(target)?;
        let refused = matches!(answer.status, 400 | 403 | 404);
        answer.must(refused, "status 404, or another refusal: 400, 403")?;
    }
    Ok(())
}

fn no_climbing(bench: &Bench) -> Outcome {
    let secret = &bench.site.secret.name;
    let (folder, _) = bench.site.nested.name.split_once('/').unwrap_or_default();
    let up = "../".repeat(20);
    must_all_be_404(
        bench,
        &[
            format!("/../{secret}"),
            format!("//../{secret}"),
            format!("/./../{secret}"),
            format!("/{folder}/../../{secret}"),
            format!("/{folder}/..//..//{secret}"),
            format!("/{}/../../{secret}", bench.site.page.name),
            format!("http://localhost/../{secret}"),
            format!("/{up}etc/passwd"),
            format!("/..{}", bench.site.beside(secret).display()),
            "/..".to_string(),
            "/../".to_string(),
        ],
    )
}

fn no_climbing_in_disguise(bench: &Bench) -> Outcome {
    let secret = &bench.site.secret.name;
    must_all_be_refused(
        bench,
        &[
            format!("/%2e%2e/{secret}"),
            format!("/%2E%2e%2f{secret}"),
            format!("/..%2f{secret}"),
            format!("/.%2e/{secret}"),
            format!("/%252e%252e/{secret}"),
            format!("/%252e%252e%252f{secret}"),
            format!("/..\\{secret}"),
            format!("/\\..\\{secret}"),
            format!("/..%5c{secret}"),
            format!("/%2f..%2f{secret}"),
            format!("/..;/{secret}"),
            format!("/.../{secret}"),
        ],
    )
}

fn no_absolute_path(bench: &Bench) -> Outcome {
    let secret = bench
        .site
        .beside(&bench.site.secret.name)
        .display()
        .to_string();
    must_all_be_refused(
        bench,
        &[
            secret.clone(),
            format!("/{secret}"),
            format!("///{secret}"),
            format!("http://localhost/{secret}"),
            format!("/%2f{secret}"),
            "//etc/passwd".to_string(),
        ],
    )
}

fn link_out_of_the_root(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let names = [site.name(), site.name(), site.name(), site.name()];
    let [file, folder, relative, nowhere] = &names;
    symlink(site.beside(&site.secret.name), site.path(file))?;
    symlink(site.beside(""), site.path(folder))?;
    symlink(format!("../{}", site.secret.name), site.path(relative))?;
    symlink(site.beside(&site.name()), site.path(nowhere))?;
    must_all_be_404(
        bench,
        &[
            format!("/{file}"),
            format!("/{folder}/{}", site.secret.name),
            format!("/{relative}"),
            format!("/{nowhere}"),
        ],
    )
}

fn link_inside_the_root(bench: &Bench) -> Outcome {
    let site = &bench.site;
    let (relative, absolute, folder) = (site.name(), site.name(), site.name());
    let (nested_folder, nested_name) = site.nested.name.split_once('/').unwrap_or_default();
    symlink(&site.page.name, site.path(&relative))?;
    symlink(site.path(&site.nested.name), site.path(&absolute))?;
    symlink(nested_folder, site.path(&folder))?;
    let server = bench.start()?;
    server
        .get(&format!("/{relative}"))?
        .must_serve(&site.page.content)?;
    server
        .get(&format!("/{absolute}"))?
        .must_serve(&site.nested.content)?;
    server
        .get(&format!("/{folder}/{nested_name}"))?
        .must_serve(&site.nested.content)
}

fn odd_bytes_in_the_target(bench: &Bench) -> Outcome {
    let server = bench.start()?;
    let page = bench.site.page.target().into_bytes();
    for (before, after) in [
        (b"".as_slice(), b"\0".as_slice()),
        (b"", b"\0.txt"),
        (b"/\0", b""),
        (b"", b"\xff\xfe"),
        (b"/\xc3\x28", b""),
        (b"", b"\x01\x7f"),
    ] {
        let request = [
            b"GET ",
            before,
            &page,
            after,
            b" HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
        .concat();
        let answer = server.ask(&request)?;
        answer.must(matches!(answer.status, 400 | 404), "status 404 or 400")?;
    }
    server.get("/")?.must_serve(&bench.site.index)
}

fn fifo_without_waiting(bench: &Bench) -> Outcome {
    let name = bench.site.name();
    let readable = Mode::from_bits_truncate(0o644);
    mkfifo(&bench.site.path(&name), readable).map_err(std::io::Error::from)?;
    must_all_be_404(bench, &[format!("/{name}")])
}

fn socket_without_waiting(bench: &Bench) -> Outcome {
    let name = bench.site.name();
    let _socket = UnixListener::bind(bench.site.path(&name))?;
    must_all_be_404(bench, &[format!("/{name}")])
}
