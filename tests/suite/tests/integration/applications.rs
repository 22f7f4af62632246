//! Real software behind stage 5: Git, PHP, Flask, Django and Bottle, used by real clients.

use crate::BUILDING;
use crate::stages::{Stage, exchange, start};
use harness::cleanup::{self, ProcessGroup};
use harness::process::{self, Signal};
use harness::workspace;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// What uploads and pushes contain, in bytes.
const LARGE: usize = 20 * 1024 * 1024;

fn stage_5() -> PathBuf {
    workspace::build_stages().unwrap()[4].clone()
}

fn folder() -> PathBuf {
    workspace::root().join("tests/suite/tests/applications")
}

/// Runs a script that uses the server at `$URL` and returns what it prints. Any command that fails ends it.
fn run(folder: &Path, url: &str, script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]);
    command
        .current_dir(folder)
        .env("URL", url)
        .env("HOME", folder);
    let output = cleanup::run(&mut command).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn url(stage: &Stage) -> String {
    format!("http://{}", stage.address)
}

/// A file of random bytes.
fn add_large(folder: &Path) {
    let mut bytes = vec![0; LARGE];
    fastrand::fill(&mut bytes);
    fs::write(folder.join("large"), bytes).unwrap();
}

/// Fails unless a response of three pieces, 0.3 s apart, came as it was written.
fn ensure_pieces(folder: &Path, url: &str, path: &str) {
    let script =
        format!("curl -sSN $URL{path} | while read -r line; do echo $line $(date +%s%N); done");
    let lines = run(folder, url, &script);
    let times: Vec<u64> = lines
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(times.len(), 3, "{lines}");
    let passed = Duration::from_nanos(times[2] - times[0]);
    assert!(
        passed > Duration::from_millis(300),
        "all at once: {passed:?}"
    );
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs git: LAB_CI=1 runs it")]
fn git_clones_pushes_and_fetches() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path();
    let path = run(here, "", "echo $(git --exec-path)/git-http-backend");
    run(
        here,
        "",
        "git init -q --bare -b main served/a.git; git -C served/a.git config http.receivepack true",
    );
    let mount = format!("/git={}", path.trim());
    let projects = format!("GIT_PROJECT_ROOT={}/served", here.display());
    let options = [
        "--cgi",
        &mount,
        "--env",
        &projects,
        "--env",
        "GIT_HTTP_EXPORT_ALL=1",
        "--root",
        ".",
    ];
    let stage = start(&binary, here, &options);
    add_large(here);
    // The push is so long that it is sent in chunks, and the many references of the fetch are
    // compressed.
    run(
        here,
        &url(&stage),
        "git clone -q $URL/git/a.git one
         cd one
         git config user.name Somebody; git config user.email somebody@example.com
         cp ../large .; git add .; git commit -qm large; git push -q origin HEAD:main
         git clone -q -b main $URL/git/a.git ../two; cmp large ../two/large
         for number in $(seq 300); do git tag tag-$number; done
         echo more > more; git add .; git commit -qm more; git push -q --tags origin HEAD:main
         cd ../two; git pull -q; cmp more ../one/more; git fsck --no-dangling
         git -C ../served/a.git fsck --no-dangling",
    );
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs php-cgi: LAB_CI=1 runs it")]
fn php_runs_in_workers_of_the_stage() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let command = "/php=php-cgi -d post_max_size=64M -d upload_max_filesize=64M";
    let root = folder();
    let options = ["--spawn", command, "--root", root.to_str().unwrap()];
    let stage = start(&binary, scratch.path(), &options);
    ensure_php(scratch.path(), &url(&stage));
}

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "needs php-fpm from Debian: LAB_CI=1 runs it on Linux"
)]
fn php_runs_in_its_own_server() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path();
    let socket = here.join("php.sock");
    let text = format!(
        "[global]\nerror_log = {0}/log\ndaemonize = no\n[www]\nlisten = {0}/php.sock\npm = static\n\
         pm.max_children = 2\nphp_admin_value[post_max_size] = 64M\n\
         php_admin_value[upload_max_filesize] = 64M\n",
        here.display()
    );
    fs::write(here.join("fpm.conf"), text).unwrap();
    let program = run(here, "", "ls /usr/sbin/php-fpm* | tail -1");
    let mut command = Command::new(program.trim());
    // It refuses to run as root unless it is told to.
    command.args([
        "--nodaemonize",
        "--allow-to-run-as-root",
        "--fpm-config",
        "fpm.conf",
    ]);
    command
        .current_dir(here)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let (_child, _group) = ProcessGroup::start(&mut command).unwrap();
    let deadline = Instant::now() + START_TIMEOUT;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "{}", run(here, "", "cat log"));
        thread::sleep(Duration::from_millis(20));
    }
    let mount = format!("/php=unix:{}", socket.display());
    let root = folder();
    let options = ["--fastcgi", &mount, "--root", root.to_str().unwrap()];
    let stage = start(&binary, here, &options);
    ensure_php(here, &url(&stage));
}

fn ensure_php(folder: &Path, url: &str) {
    add_large(folder);
    let report = run(
        folder,
        url,
        "curl -sSf -b jar -c jar -d a=b $URL/php/report.php/more/path?c=d > /dev/null
         curl -sSf -b jar -c jar -d a=b $URL/php/report.php/more/path?c=d",
    );
    let expected = r#"{"count":2,"method":"POST","script":"/php/report.php","info":"/more/path","form":{"a":"b"},"sizes":[]}"#;
    assert_eq!(report, expected);
    let head = run(folder, url, "curl -sSI $URL/php/report.php");
    assert!(
        head.starts_with("HTTP/1.1 201") && head.contains("X-Sample: yes"),
        "{head}"
    );
    let uploaded = run(folder, url, "curl -sSf -F file=@large $URL/php/report.php");
    assert!(
        uploaded.contains(&format!("\"sizes\":{{\"file\":{LARGE}}}")),
        "{uploaded}"
    );
    ensure_pieces(folder, url, "/php/pieces.php");
    let code = |path: &str| {
        run(
            folder,
            url,
            &format!("curl -sS -o page -w '%{{http_code}}' $URL{path}"),
        )
    };
    assert_eq!(code("/php/error.php"), "500");
    assert_eq!(code("/php/missing.php"), "404");
    // To the file system `//` is a slash too. And what somebody has uploaded is no program.
    assert_eq!(code("//php/report.php"), "404");
    for path in ["/php/photo.jpg", "/php/photo.jpg/report.php"] {
        let page = run(folder, url, &format!("curl -sS $URL{path}"));
        assert!(!page.contains("executed"), "{path}: {page}");
    }
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs packages from PyPI: LAB_CI=1 runs it")]
fn python_frameworks_run_behind_the_stage() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path();
    let venv = workspace::root().join("target/applications/venv/bin");
    let venv = venv.display().to_string();
    create_django_site(here, &venv);
    let path = format!("PATH={venv}:{}", env::var("PATH").unwrap());
    let modules = format!("PYTHONPATH={}:{}", folder().display(), here.display());
    let mounts = [
        "/flask=flask_pages:application",
        "/bottle=bottle_pages:application",
        "/django=pages.wsgi:application",
    ];
    let mut options = vec!["--root", ".", "--env", &path, "--env", &modules];
    options.extend(mounts.iter().flat_map(|mount| ["--wsgi", *mount]));
    let stage = start(&binary, here, &options);
    let url = url(&stage);
    add_large(here);
    let counts = run(
        here,
        &url,
        "for i in 1 2 3; do curl -sSf -b jar -c jar $URL/flask/count; done",
    );
    assert_eq!(counts, "123");
    let uploaded = run(here, &url, "curl -sSf -F file=@large $URL/flask/upload");
    assert_eq!(uploaded, LARGE.to_string());
    ensure_pieces(here, &url, "/flask/pieces");
    let away = run(
        here,
        &url,
        "curl -sS -o page -w '%{http_code} %{redirect_url}' $URL/flask/away",
    );
    assert_eq!(away, format!("302 {url}/flask/count"));
    run(here, &url, "curl -sSfI $URL/flask/count");
    assert_eq!(
        run(here, &url, "curl -sSf $URL/bottle/hello/lab"),
        "Hello, lab!"
    );
    let text = run(
        here,
        &url,
        "curl -sSf --data-urlencode text=ü $URL/bottle/form",
    );
    assert_eq!(text, "ü");
    use_browser(here, &url, "admin", &[]);
}

/// Creates a Django site with an administrator, and with the files that its pages need.
fn create_django_site(here: &Path, venv: &str) {
    run(
        here,
        "",
        &format!(
            "{venv}/django-admin startproject pages .
             echo 'ALLOWED_HOSTS = [\"*\"]' >> pages/settings.py
             echo 'STATIC_URL = \"/static/\"' >> pages/settings.py
             echo 'STATIC_ROOT = BASE_DIR / \"static\"' >> pages/settings.py
             {venv}/python manage.py collectstatic --no-input --verbosity 0
             {venv}/python manage.py migrate --verbosity 0
             DJANGO_SUPERUSER_PASSWORD=secret {venv}/python manage.py createsuperuser --noinput \
                 --username admin --email admin@example.com > /dev/null"
        ),
    );
}

/// Runs a trial of `browser.mjs`, which may kill these workers.
fn use_browser(here: &Path, url: &str, trial: &str, workers: &[i32]) {
    let script = folder().join("browser.mjs");
    let modules = workspace::root().join("target/browser");
    let workers: Vec<String> = workers.iter().map(i32::to_string).collect();
    let command = format!(
        "node {} {trial} $URL {} $(command -v chromium) {}",
        script.display(),
        modules.display(),
        workers.join(" ")
    );
    run(here, url, &command);
}

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs Chromium: LAB_CI=1 runs it")]
fn members_stay_logged_in_when_workers_are_killed() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let apps = workspace::root().join("stage5_gateway/apps");
    let modules = format!("PYTHONPATH={}", apps.display());
    let database = format!("SITE_DATABASE={}/members", scratch.path().display());
    let html = workspace::root().join("html");
    let mut options = vec!["--root", html.to_str().unwrap()];
    options.extend(["--wsgi", "/members=members:application"]);
    options.extend(["--env", &modules, "--env", &database]);
    let stage = start(&binary, scratch.path(), &options);
    let workers = children(&children(&[stage.child.id().cast_signed()]));
    assert_eq!(workers.len(), 2);
    use_browser(scratch.path(), &url(&stage), "members", &workers);
}

/// Serves Bottle's pages with the server of Python's standard library, and prints its port.
const WSGIREF: &str = "
from wsgiref.simple_server import make_server
from bottle_pages import application
server = make_server('127.0.0.1', 0, application)
print(server.server_port, flush=True)
server.serve_forever()";

#[test]
#[cfg_attr(not(lab_ci), ignore = "needs packages from PyPI: LAB_CI=1 runs it")]
fn pages_are_the_same_behind_wsgiref() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path();
    let venv = workspace::root().join("target/applications/venv/bin");
    let path = format!("{}:{}", venv.display(), env::var("PATH").unwrap());
    let folder = folder();
    let mut command = Command::new(venv.join("python"));
    command.args(["-c", WSGIREF]).env("PYTHONPATH", &folder);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let (mut child, _group) = ProcessGroup::start(&mut command).unwrap();
    let mut port = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut port).unwrap();
    let (path, modules) = (
        format!("PATH={path}"),
        format!("PYTHONPATH={}", folder.display()),
    );
    let mut options = vec!["--root", ".", "--wsgi", "/=bottle_pages:application"];
    options.extend(["--env", &path, "--env", &modules]);
    let stage = start(&binary, here, &options);
    let wsgiref = format!("http://127.0.0.1:{}", port.trim());
    for request in [
        "$URL/hello/lab",
        "$URL/hello/%C3%BC%2F?a=b%20c",
        "--head $URL/hello/lab",
        "-d text=a%26b $URL/form",
        "-F text=ü $URL/form",
        "-X DELETE $URL/form",
        "$URL/missing",
    ] {
        // Some pages show the address.
        let script = format!("curl -sS -i -H 'Host: lab' {request}");
        let expected = comparable(&run(here, &wsgiref, &script));
        let received = comparable(&run(here, &url(&stage), &script));
        assert_eq!(received, expected, "{request}");
    }
}

/// A response without what a server says about itself: version, date, name, and its connection.
fn comparable(response: &str) -> (Vec<String>, String) {
    let (head, content) = response.split_once("\r\n\r\n").unwrap();
    let (_, rest) = head.split_once(' ').unwrap();
    let mut lines: Vec<String> = rest.lines().map(str::to_string).collect();
    let own = ["Date:", "Server:", "Connection:"];
    lines.retain(|line| !own.iter().any(|name| line.starts_with(name)));
    lines[1..].sort();
    (lines, content.to_string())
}

/// How long workers are killed: `LAB_SECONDS`, or 10 s.
fn killing_time() -> Duration {
    let seconds = env::var("LAB_SECONDS").ok();
    Duration::from_secs(seconds.map_or(10, |seconds| seconds.parse().unwrap()))
}

/// How many workers there are, and how often one is killed.
const WORKERS: usize = 4;
const KILL_EVERY: Duration = Duration::from_millis(200);

#[test]
#[cfg_attr(
    not(all(lab_ci, target_os = "linux")),
    ignore = "kills workers for 10 s, or LAB_SECONDS: LAB_CI=1 runs it on Linux"
)]
fn killed_workers_lose_nothing_that_was_answered() {
    let binary = stage_5();
    let _running = BUILDING.read().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let ledger = scratch.path().join("ledger");
    let ledger_option = format!("LEDGER={}", ledger.display());
    let modules = format!("PYTHONPATH={}", folder().display());
    let workers = WORKERS.to_string();
    let mut options = vec!["--root", ".", "--workers", &workers];
    options.extend(["--wsgi", "/=ledger:application"]);
    options.extend(["--env", &ledger_option, "--env", &modules]);
    let mut stage = start(&binary, scratch.path(), &options);
    let mut log = stage.child.stderr.take().unwrap();
    thread::spawn(move || io::copy(&mut log, &mut io::sink()));
    let server = stage.child.id().cast_signed();
    let supervisors = children(&[server]);
    let descriptors = process::descriptors(server).unwrap();
    let memory = process::anonymous_memory(server).unwrap();
    let end = Instant::now() + killing_time();
    let (answered, kills): (Vec<Vec<String>>, usize) = thread::scope(|scope| {
        let stage = &stage;
        let start = |number| scope.spawn(move || post_until(end, stage, number));
        let clients: Vec<_> = (0..64).map(start).collect();
        let kills = kill_workers(end, server);
        let answered = clients.into_iter().map(|client| client.join().unwrap());
        (answered.collect(), kills)
    });
    let answered = answered.concat();
    let text = fs::read_to_string(&ledger).unwrap();
    let noted: BTreeSet<&str> = text.lines().collect();
    let lost: Vec<_> = answered
        .iter()
        .filter(|path| !noted.contains(path.as_str()))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(
        answered.len() > 100,
        "only {} requests were answered",
        answered.len()
    );
    assert_ne!(supervisors, children(&[server]), "no worker was replaced");
    println!("{} answered, {kills} workers killed", answered.len());
    ensure_nothing_leaks(server, descriptors, memory);
}

/// How much more memory a server may hold after thousands of requests, in bytes.
const MEMORY_GROWTH: u64 = 16 * 1024 * 1024;

/// Fails unless a server soon has its workers and no more descriptors and memory than before.
fn ensure_nothing_leaks(server: i32, descriptors: usize, memory: u64) {
    let deadline = Instant::now() + START_TIMEOUT;
    while process::descriptors(server).unwrap() > descriptors
        || children(&[server]).len() != WORKERS
    {
        assert!(Instant::now() < deadline, "descriptors or workers leak");
        thread::sleep(Duration::from_millis(50));
    }
    let now = process::descriptors(server).unwrap();
    println!("{descriptors} descriptors before, {now} after");
    let now = process::anonymous_memory(server).unwrap();
    println!("{memory} bytes of memory before, {now} after");
    assert!(now < memory + MEMORY_GROWTH, "memory leaks: {now} bytes");
}

/// Kills a worker now and then, when all are there: workers that end at once are replaced later and
/// later, and soon nothing would be answered. Returns how many were killed.
fn kill_workers(end: Instant, server: i32) -> usize {
    let mut kills = 0;
    while Instant::now() < end {
        thread::sleep(KILL_EVERY);
        let workers = children(&children(&[server]));
        if let Some(worker) = fastrand::choice(&workers).filter(|_| workers.len() == WORKERS) {
            process::kill(*worker, Signal::KILL);
            kills += 1;
        }
    }
    kills
}

/// The children of these processes.
fn children(parents: &[i32]) -> Vec<i32> {
    let all = process::all().unwrap().into_iter();
    let children = all.filter(|process| parents.contains(&process.parent));
    children.map(|process| process.pid).collect()
}

/// Posts until then. Returns the paths of the requests that were answered. Whoever was served by a worker
/// that was killed gets 502, or less than all of a response.
fn post_until(end: Instant, stage: &Stage, number: usize) -> Vec<String> {
    let mut answered = Vec::new();
    for count in 0.. {
        if Instant::now() > end {
            break;
        }
        let path = format!("/{number}/{count}");
        let content = "x".repeat(fastrand::usize(..200_000));
        let length = content.len();
        let request = format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{content}");
        let Ok(response) = exchange(stage, request.as_bytes()) else {
            continue;
        };
        let (head, received) = response.split_once("\r\n\r\n").unwrap_or_default();
        if head.starts_with("HTTP/1.1 200 ") {
            assert!(
                received == format!("{path}{content}"),
                "{path}: wrong content"
            );
            answered.push(path);
        } else {
            assert!(head.starts_with("HTTP/1.1 502 "), "{path}: {head}");
        }
    }
    answered
}
