//! A server with a fault that shows under load. It keeps the options of the contract.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Fault {
    /// It ends with its 60th answer.
    Dies,
    /// It has never had the right content.
    Lies,
    /// From its 50th answer on, each third one is cut short, but not the first of any round: by
    /// that `ab` would judge all others.
    Cuts,
    /// It keeps connections, which is none.
    Keeps,
}

/// The fault that a word on the command line asks for.
pub fn fault(word: &str) -> Option<Fault> {
    match word {
        "server:dies" => Some(Fault::Dies),
        "server:lies" => Some(Fault::Lies),
        "server:cuts" => Some(Fault::Cuts),
        "server:keeps" => Some(Fault::Keeps),
        _ => None,
    }
}

pub fn serve(fault: Fault) -> ExitCode {
    let option = |name: &str| {
        let mut words = std::env::args().skip_while(|word| word != name);
        words.nth(1)
    };
    let (Some(listen), Some(root)) = (option("--listen"), option("--root")) else {
        println!("mortal 1.0");
        return ExitCode::SUCCESS;
    };
    let listener = TcpListener::bind(listen).unwrap();
    let root = PathBuf::from(root);
    let mut answers = 0;
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        if fault == Fault::Keeps {
            let root = root.clone();
            thread::spawn(move || while answer(&stream, &root, fault, 0).is_some() {});
            continue;
        }
        if answer(&stream, &root, fault, answers).is_some() {
            answers += 1;
        }
        if fault == Fault::Dies && answers == 60 {
            eprintln!("nothing is for ever");
            return ExitCode::from(7);
        }
    }
    ExitCode::SUCCESS
}

/// Answers a request, the one of that number.
fn answer(mut stream: &TcpStream, root: &std::path::Path, fault: Fault, number: u32) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    for line in lines {
        if line.ok()?.is_empty() {
            break;
        }
    }
    let name = first.split(' ').nth(1)?;
    let mut content = fs::read(root.join(name.trim_start_matches('/'))).ok()?;
    match fault {
        Fault::Lies => content.fill(b'x'),
        Fault::Cuts if number >= 50 && number % 3 == 1 => content.truncate(100),
        _ => {}
    }
    let fields = match fault {
        Fault::Keeps => format!(
            "Content-Length: {}\r\nConnection: keep-alive\r\n",
            content.len()
        ),
        _ => String::new(),
    };
    let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    stream.write_all(&[head.as_bytes(), &content].concat()).ok()
}
