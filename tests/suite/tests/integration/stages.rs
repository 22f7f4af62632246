//! What bug reports of other servers broke in the stages, and no check can ask of every program: the
//! program is replaced while it runs, its root is a link, nobody reads its log.

use harness::cleanup::{self, ProcessGroup};
use harness::workspace;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a client waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running stage. It ends with this value.
pub struct Stage {
    pub child: Child,
    pub address: String,
    _group: ProcessGroup,
}

/// Starts a stage with these options. Nobody reads its standard error.
pub fn start(binary: &Path, folder: &Path, options: &[&str]) -> Stage {
    let mut command = Command::new(binary);
    command.args(["--listen", "127.0.0.1:0"]).args(options);
    command.current_dir(folder).env("TMPDIR", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, group) = ProcessGroup::start(&mut command).unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let address = line.trim_end().trim_end_matches('/');
    let address = address.rsplit_once("http://").unwrap().1.to_string();
    Stage {
        child,
        address,
        _group: group,
    }
}

/// Whatever a stage sends in response to these bytes, up to the end of the connection.
pub fn exchange(stage: &Stage, request: &[u8]) -> std::io::Result<String> {
    let mut client = TcpStream::connect(&stage.address)?;
    client.set_read_timeout(Some(TIMEOUT))?;
    client.write_all(request)?;
    client.shutdown(Shutdown::Write)?;
    let mut response = Vec::new();
    client.read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// The status code and the content of the response to a GET request.
pub fn get(stage: &Stage, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n");
    let response = exchange(stage, request.as_bytes());
    let response = response.unwrap_or_else(|error| panic!("no response to {path}: {error}"));
    let (head, content) = response.split_once("\r\n\r\n").unwrap_or_default();
    let code = head.split(' ').nth(1).unwrap_or_default();
    (code.parse().unwrap_or(0), content.to_string())
}

/// A folder with two sites, `one` and `two`, whose pages differ.
fn two_sites() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let site = folder.path().join(name);
        fs::create_dir(&site).unwrap();
        fs::write(site.join("page.txt"), name).unwrap();
    }
    folder
}

pub fn stages() -> Vec<PathBuf> {
    workspace::build_stages().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn stage_survives_the_replacement_of_its_program() {
    let folder = two_sites();
    for binary in stages() {
        let program = folder.path().join("program");
        // Nobody could execute it while it is open for writing.
        cleanup::without_starting_processes(|| fs::copy(binary, &program)).unwrap();
        let stage = start(&program, folder.path(), &["--root", "one"]);
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
        // Like a build, which creates another file in its place.
        fs::remove_file(&program).unwrap();
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
        fs::write(&program, "not a program yet").unwrap();
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
        fs::remove_file(&program).unwrap();
    }
}

#[test]
fn stage_accepts_the_end_of_its_options() {
    let folder = two_sites();
    for binary in stages() {
        let stage = start(&binary, folder.path(), &["--root", "one", "--"]);
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
    }
}

#[test]
fn stage_keeps_its_root_when_a_link_to_it_is_switched() {
    let folder = two_sites();
    let link = folder.path().join("link");
    for binary in stages() {
        symlink("one", &link).unwrap();
        let stage = start(&binary, folder.path(), &["--root", "link"]);
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
        fs::remove_file(&link).unwrap();
        symlink("two", &link).unwrap();
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
        fs::remove_file(&link).unwrap();
        assert_eq!(get(&stage, "/page.txt"), (200, "one".to_string()));
    }
}

#[test]
fn removed_root_is_not_found() {
    for binary in stages() {
        let folder = two_sites();
        let stage = start(&binary, folder.path(), &["--root", "one"]);
        fs::remove_dir_all(folder.path().join("one")).unwrap();
        assert_eq!(get(&stage, "/page.txt").0, 404, "{}", binary.display());
        fs::rename(folder.path().join("two"), folder.path().join("one")).unwrap();
        assert!([200, 404].contains(&get(&stage, "/page.txt").0));
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /sys")]
fn file_that_opens_but_cannot_be_read_is_an_error() {
    // Everybody may read the speed of a network device, but the loopback device has none.
    let device = Path::new("/sys/devices/virtual/net/lo");
    let mut speed = File::open(device.join("speed")).unwrap();
    assert!(speed.read(&mut [0]).is_err());
    let mtu = fs::read_to_string(device.join("mtu")).unwrap();
    for binary in stages() {
        let stage = start(&binary, device, &["--root", "."]);
        assert_eq!(get(&stage, "/speed").0, 500, "{}", binary.display());
        assert_eq!(get(&stage, "/mtu"), (200, mtu.clone()));
    }
}

/// When the pipe of its log is full, a stage may stop. But no client may get half a connection.
#[test]
fn blocked_log_keeps_no_client_waiting_for_its_end() {
    const REQUESTS: usize = 20;
    let folder = two_sites();
    let field = "a".repeat(15_000);
    let request = format!("GET /page.txt HTTP/1.1\r\nHost: lab\r\nA: {field}\r\n\r\n");
    for binary in stages() {
        let options = ["--root", "one", "--verbose", "--timeout", "1"];
        let mut stage = start(&binary, folder.path(), &options);
        let mut served = 0;
        for _ in 0..REQUESTS {
            let mut client = TcpStream::connect(&stage.address).unwrap();
            client.set_read_timeout(Some(TIMEOUT / 5)).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            let mut response = Vec::new();
            let result = client.read_to_end(&mut response);
            if response.is_empty() {
                // It is blocked.
                break;
            }
            assert!(result.is_ok(), "{}: no end: {result:?}", binary.display());
            assert!(response.ends_with(b"one"), "{}", binary.display());
            served += 1;
        }
        assert!(served >= 4, "{}: {served}", binary.display());
        assert!(stage.child.try_wait().unwrap().is_none());
    }
}
