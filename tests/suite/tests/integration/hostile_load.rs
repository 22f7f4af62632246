//! Stage 6 under a mixed load: good clients, whose responses are compared byte for byte, among slow,
//! resetting, pipelining, half-closing and silent ones.

use crate::BUILDING;
use crate::stages::{self, Stage, start};
use fastrand::Rng;
use harness::process;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client waits for a response. The machine is busy.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `--timeout` in seconds, and the pause of a client that exceeds it, in milliseconds. All others are
/// faster, even while the machine is busy.
const SERVER_TIMEOUT: &str = "5";
const TOO_LONG: u64 = 5_500;

/// How much memory may be added, in bytes: a leak grows with each of the thousands of clients.
const MEMORY_LIMIT: u64 = 4 * 1024 * 1024;

/// The pages of the site by size, and a file that nobody reads to its end.
const SIZES: [usize; 4] = [0, 1, 5_000, 200_000];
const LARGE: usize = 64 * 1024 * 1024;

/// A client's visit, which panics if a response is wrong.
type Visit = fn(&Stage, &[Vec<u8>], &mut Rng) -> io::Result<()>;

const VISITS: [(&str, Visit); 7] = [
    ("good", keep_connection),
    ("pipelining", send_at_once),
    ("slow", send_slowly),
    ("half-closing", finish_sending),
    ("resetting", |stage, _, _| leave_unread(stage, 0)),
    ("never reading", |stage, _, _| leave_unread(stage, TOO_LONG)),
    ("malformed", send_garbage),
];

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "takes 10 s, or LAB_SECONDS: LAB_CI=1 runs it on Linux"
)]
fn mixed_load_leaves_no_wrong_response_and_no_leak() {
    let binary = stages::stages()[5].clone();
    let _running = BUILDING.read().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pages = add_site(folder.path());
    let mut stage = start(
        &binary,
        folder.path(),
        &["--root", ".", "--timeout", SERVER_TIMEOUT],
    );
    let mut log = stage.child.stderr.take().unwrap();
    thread::spawn(move || io::copy(&mut log, &mut io::sink()));
    let server = stage.child.id().cast_signed();
    let descriptors = descriptors_at_rest(&stage, server);
    // What it allocates once isn't lost.
    load(&stage, &pages, Duration::from_secs(2));
    wait_until_idle(server, descriptors);
    let memory = process::anonymous_memory(server).unwrap();
    let seconds = env::var("LAB_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    load(&stage, &pages, Duration::from_secs(seconds));
    wait_until_idle(server, descriptors);
    let after = process::anonymous_memory(server).unwrap();
    println!("memory: {memory} bytes before, {after} after");
    assert!(after < memory + MEMORY_LIMIT, "{memory} grew to {after}");
    let before = process::processor_time(server).unwrap();
    thread::sleep(Duration::from_secs(1));
    let spent = process::processor_time(server).unwrap() - before;
    assert!(spent < Duration::from_millis(50), "{spent:?} while idle");
}

fn add_site(folder: &Path) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    for (number, size) in SIZES.iter().enumerate() {
        let mut page = vec![0; *size];
        fastrand::fill(&mut page);
        fs::write(folder.join(number.to_string()), &page).unwrap();
        pages.push(page);
    }
    let large = fs::File::create(folder.join("large")).unwrap();
    large.set_len(LARGE as u64).unwrap();
    pages
}

/// Lets two clients of each kind visit again and again.
fn load(stage: &Stage, pages: &[Vec<u8>], duration: Duration) {
    let end = Instant::now() + duration;
    let counts = [const { AtomicUsize::new(0) }; VISITS.len()];
    thread::scope(|scope| {
        for ((name, visit), count) in VISITS.iter().zip(&counts) {
            for _ in 0..2 {
                scope.spawn(move || {
                    let mut rng = Rng::new();
                    while Instant::now() < end {
                        let visited = visit(stage, pages, &mut rng);
                        visited.unwrap_or_else(|error| panic!("{name}: {error}"));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
    });
    for ((name, _), count) in VISITS.iter().zip(&counts) {
        println!("{}: {} visits", name, count.load(Ordering::Relaxed));
    }
}

/// How many descriptors a server has open without clients. It has all of them when it responds.
fn descriptors_at_rest(stage: &Stage, server: i32) -> usize {
    let mut client = connect(stage).unwrap();
    client.write_all(&request(SIZES.len())).unwrap();
    client.read_exact(&mut [0; 100]).unwrap();
    // There is no such page, so this connection is all that is open.
    process::descriptors(server).unwrap() - 1
}

/// Fails if the server doesn't close what its clients have left.
fn wait_until_idle(server: i32, descriptors: usize) {
    let end = Instant::now() + TIMEOUT;
    while process::descriptors(server).unwrap() > descriptors {
        let open = process::descriptors(server).unwrap();
        assert!(Instant::now() < end, "{open} descriptors of {descriptors}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn connect(stage: &Stage) -> io::Result<TcpStream> {
    let client = TcpStream::connect(&stage.address)?;
    client.set_read_timeout(Some(TIMEOUT))?;
    client.set_write_timeout(Some(TIMEOUT))?;
    Ok(client)
}

fn request(page: usize) -> Vec<u8> {
    format!("GET /{page} HTTP/1.1\r\nHost: lab\r\n\r\n").into_bytes()
}

/// Reads one response, which must be that page.
fn expect(reader: &mut impl BufRead, page: &[u8]) -> io::Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
        assert!(!line.is_empty(), "the head ends too early");
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().unwrap();
        }
    }
    let mut content = vec![0; length];
    reader.read_exact(&mut content)?;
    assert!(content == page, "{length} wrong bytes");
    Ok(())
}

fn keep_connection(stage: &Stage, pages: &[Vec<u8>], rng: &mut Rng) -> io::Result<()> {
    let mut reader = BufReader::new(connect(stage)?);
    for _ in 0..rng.usize(1..200) {
        let page = rng.usize(..pages.len());
        reader.get_mut().write_all(&request(page))?;
        expect(&mut reader, &pages[page])?;
    }
    Ok(())
}

/// Sends many requests at once, cut at random places.
fn send_at_once(stage: &Stage, pages: &[Vec<u8>], rng: &mut Rng) -> io::Result<()> {
    let client = connect(stage)?;
    let wanted: Vec<usize> = (0..rng.usize(1..300)).map(|_| rng.usize(..3)).collect();
    let requests: Vec<u8> = wanted.iter().flat_map(|page| request(*page)).collect();
    let size = rng.usize(1..requests.len());
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in requests.chunks(size) {
                (&client).write_all(piece).unwrap();
            }
        });
        let mut reader = BufReader::new(&client);
        let mut wanted = wanted.iter();
        wanted.try_for_each(|page| expect(&mut reader, &pages[*page]))
    })
}

/// Sends byte by byte, and takes the response in small pieces.
fn send_slowly(stage: &Stage, pages: &[Vec<u8>], rng: &mut Rng) -> io::Result<()> {
    let mut client = connect(stage)?;
    client.set_nodelay(true)?;
    let page = rng.usize(..pages.len());
    for byte in request(page) {
        client.write_all(&[byte])?;
        thread::sleep(Duration::from_millis(rng.u64(..10)));
    }
    expect(&mut BufReader::with_capacity(100, client), &pages[page])
}

/// Sends nothing more after a request, or after a part of one.
fn finish_sending(stage: &Stage, pages: &[Vec<u8>], rng: &mut Rng) -> io::Result<()> {
    let mut client = connect(stage)?;
    let page = rng.usize(..pages.len());
    let bytes = request(page);
    let length = if rng.bool() {
        bytes.len()
    } else {
        rng.usize(..bytes.len())
    };
    client.write_all(&bytes[..length])?;
    client.shutdown(Shutdown::Write)?;
    let mut reader = BufReader::new(client);
    if length == bytes.len() {
        expect(&mut reader, &pages[page])?;
    }
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest)?;
    assert_eq!(rest, b"", "bytes that nobody has asked for");
    Ok(())
}

/// Asks for a large file, reads its beginning, and leaves after a pause in milliseconds. What is still
/// unread makes it a reset.
fn leave_unread(stage: &Stage, pause: u64) -> io::Result<()> {
    let mut client = connect(stage)?;
    client.write_all(b"GET /large HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    client.read_exact(&mut [0; 1000])?;
    thread::sleep(Duration::from_millis(pause));
    Ok(())
}

fn send_garbage(stage: &Stage, _: &[Vec<u8>], rng: &mut Rng) -> io::Result<()> {
    let mut client = connect(stage)?;
    let mut bytes = vec![0; rng.usize(1..2_000)];
    rng.fill(&mut bytes);
    // Nothing but empty lines would get no response.
    bytes[0] |= 0x80;
    bytes.extend(b"\r\n\r\n");
    client.write_all(&bytes)?;
    client.shutdown(Shutdown::Write)?;
    let mut response = String::new();
    client.read_to_string(&mut response)?;
    let sent = bytes.escape_ascii();
    assert!(response.starts_with("HTTP/1.1 4"), "{response:?} to {sent}");
    Ok(())
}
