//! Chromium, driven by its own protocol (https://chromedevtools.github.io/devtools-protocol/)
//! through a pair of pipes: no port that somebody else could find, and no crate for it. When
//! the pipes close, Chromium ends, whatever became of us.

use lab::ending::{Folder, Group};
use lab::program::{Kept, collect, on_path, settled};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for anything of the browser: more than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where it is looked for, after the variable `LAB_CHROMIUM`: names on the path, and its place
/// on macOS.
const PLACES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const OPTIONS: [&str; 18] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--mute-audio",
    "--hide-scrollbars",
    "--use-mock-keychain",
    "--lang=en",
    // A page that was left is done with: nobody goes back to it.
    "--disable-features=BackForwardCache",
    // Tabs that nobody looks at run as fast as the others.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
];

/// The program, if it is on this machine.
pub fn program() -> Option<PathBuf> {
    if let Some(named) = env::var_os("LAB_CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    // A place that is a whole path stays what it is when it is joined to a folder.
    PLACES.iter().find_map(on_path)
}

/// Where messages go: each tab has a session, and the browser itself the one without a name.
type Routes = Arc<Mutex<HashMap<String, Sender<Value>>>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running browser. It ends, and its profile goes, when this value is dropped.
pub struct Chromium {
    child: Child,
    /// `None` once it has been ended, in `drop`.
    group: Option<Group>,
    pipe: Mutex<ChildStdin>,
    routes: Routes,
    ids: AtomicU64,
    /// The conversation with the browser itself, on which tabs are opened.
    own: Mutex<Session>,
    /// Tabs that may be used again: to open one takes as long as most tests.
    idle: Mutex<Vec<Session>>,
    /// What it writes to standard error.
    log: Kept,
    _profile: Folder,
}

impl Chromium {
    /// Starts it. `rules` say where it finds the hosts that it may find.
    pub fn start(program: &Path, rules: &str) -> Result<Chromium, Failed> {
        let profile = Folder::new()?;
        let mut command = command(program, profile.path(), rules);
        let (mut child, group) = Group::start(&mut command)?;
        let pipe = child.stdin.take().ok_or("chromium has no input")?;
        let output = child.stdout.take().ok_or("chromium has no output")?;
        let log = Kept::default();
        collect(child.stderr.take(), &log);
        let routes = Routes::default();
        let own = Session::open("", &routes);
        deliver(output, Arc::clone(&routes));
        let chromium = Chromium {
            child,
            group: Some(group),
            pipe: Mutex::new(pipe),
            routes,
            ids: AtomicU64::new(1),
            own: Mutex::new(own),
            idle: Mutex::default(),
            log,
            _profile: profile,
        };
        chromium.ask("Browser.getVersion", json!({}))?;
        Ok(chromium)
    }

    /// Asks the browser itself.
    fn ask(&self, method: &str, parameters: Value) -> Result<Value, Failed> {
        locked(&self.own).call(self, method, parameters)
    }

    /// A tab with nothing in it.
    pub fn tab(&self) -> Result<Tab<'_>, Failed> {
        let idle = locked(&self.idle).pop();
        match idle {
            Some(session) => Ok(Tab::of(self, session)),
            None => self.new_tab(),
        }
    }

    /// Opens a tab, which shares nothing with any other.
    fn new_tab(&self) -> Result<Tab<'_>, Failed> {
        let context = self.ask("Target.createBrowserContext", json!({}))?;
        let context = text(&context["browserContextId"]);
        let asked = json!({ "url": "about:blank", "browserContextId": context });
        let target = self.ask("Target.createTarget", asked)?;
        let asked = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.ask("Target.attachToTarget", asked)?;
        let mut session = Session::open(&text(&attached["sessionId"]), &self.routes);
        session.context = context;
        let mut tab = Tab::of(self, session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}))?;
        }
        tab.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }))?;
        let focus = json!({ "enabled": true });
        tab.call("Emulation.setFocusEmulationEnabled", focus)?;
        // What one page has fetched is fetched again for the next.
        tab.call("Network.setCacheDisabled", json!({ "cacheDisabled": true }))?;
        Ok(tab)
    }

    /// Takes a tab back, to be used again.
    pub fn keep(&self, mut tab: Tab) -> Result<(), Failed> {
        tab.open("about:blank")?;
        tab.call("Emulation.clearDeviceMetricsOverride", json!({}))?;
        tab.call("Emulation.setEmulatedMedia", json!({ "features": [] }))?;
        tab.flush()?;
        tab.session.events.clear();
        tab.is_clean = true;
        Ok(())
    }

    fn ended(&self) -> Failed {
        let log = settled(&self.log);
        format!(
            "Chromium has ended. It wrote:\n{}",
            String::from_utf8_lossy(&log)
        )
        .into()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        drop(self.group.take());
        let _ = self.child.wait();
    }
}

/// The command that starts it. The protocol has descriptors 3 and 4 for itself: a shell puts
/// our pipes there.
fn command(program: &Path, profile: &Path, rules: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#])
        .arg(program)
        .args(OPTIONS)
        .arg(format!("--host-resolver-rules={rules}"))
        .arg(format!(
            "--user-data-dir={}",
            profile.join("profile").display()
        ))
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", profile)
        .env("TMPDIR", profile)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Chromium refuses to shut root into its sandbox.
    if nix::unistd::Uid::effective().is_root() {
        command.arg("--no-sandbox");
    }
    command
}

/// Hands on each message, which a NUL ends, to whom it is for. Those who still wait when the
/// browser ends are told by the end of their routes.
fn deliver(output: impl Read + Send + 'static, routes: Routes) {
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut message = Vec::new();
        while let Ok(1..) = output.read_until(0, &mut message) {
            let end = message.len() - 1;
            if let Ok(value) = serde_json::from_slice::<Value>(&message[..end])
                && let Some(route) = locked(&routes).get(value["sessionId"].as_str().unwrap_or(""))
            {
                // Whoever does not listen any more has closed the tab.
                let _ = route.send(value);
            }
            message.clear();
        }
        locked(&routes).clear();
    });
}

/// A conversation: what it has received, and not yet looked at.
struct Session {
    id: String,
    /// What the tab has to itself, as a private window has; the browser itself has none.
    context: String,
    inbox: Receiver<Value>,
    events: Vec<Value>,
}

impl Session {
    fn open(id: &str, routes: &Routes) -> Session {
        let (sender, inbox) = mpsc::channel();
        locked(routes).insert(id.to_string(), sender);
        Session::on(id, inbox)
    }

    fn on(id: &str, inbox: Receiver<Value>) -> Session {
        Session {
            id: id.to_string(),
            context: String::new(),
            inbox,
            events: Vec::new(),
        }
    }

    /// Calls a method and waits for its result. Events that come before it are kept.
    fn call(
        &mut self,
        chromium: &Chromium,
        method: &str,
        parameters: Value,
    ) -> Result<Value, Failed> {
        let id = chromium.ids.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.id.is_empty() {
            message["sessionId"] = json!(self.id);
        }
        let bytes = format!("{message}\0");
        if locked(&chromium.pipe).write_all(bytes.as_bytes()).is_err() {
            return Err(chromium.ended());
        }
        let mut answer = self.receive(chromium, method, |message| message["id"] == id)?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].take()),
            error => Err(format!("{method}: {error}").into()),
        }
    }

    /// Waits for a message; others that come before it are kept.
    fn receive(
        &mut self,
        chromium: &Chromium,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failed> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(message) if wanted(&message) => return Ok(message),
                Ok(message) => self.events.push(message),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("nothing came of {what} within {PATIENCE:?}").into());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(chromium.ended()),
            }
        }
    }
}

/// A tab. It is closed when this value is dropped, or kept if it is clean.
pub struct Tab<'a> {
    chromium: &'a Chromium,
    session: Session,
    is_clean: bool,
}

impl<'a> Tab<'a> {
    fn of(chromium: &'a Chromium, session: Session) -> Tab<'a> {
        Tab {
            chromium,
            session,
            is_clean: false,
        }
    }

    /// Calls a method of the protocol.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, Failed> {
        self.session.call(self.chromium, method, parameters)
    }

    /// Opens an address and waits until all of the page is there. Returns the status code.
    pub fn open(&mut self, address: &str) -> Result<u64, Failed> {
        let opened = self.call("Page.navigate", json!({ "url": address }))?;
        if let Some(error) = opened["errorText"].as_str() {
            return Err(format!("{address} does not open: {error}").into());
        }
        self.loaded(|event| event["params"]["loaderId"] == opened["loaderId"])
    }

    /// Does what leads to another page, and waits until all of that is there. Returns its
    /// status code.
    pub fn follow(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<(), Failed>,
    ) -> Result<u64, Failed> {
        // So that no event of the page before is taken for one of the next.
        self.flush()?;
        let old = self.evaluate("performance.timeOrigin")?;
        let seen = self.session.events.len();
        action(self)?;
        self.loaded_since(seen, |_| true)?;
        match self.evaluate("performance.timeOrigin")? == old {
            true => Err("the page should lead to another, and is the same".into()),
            false => self.status(),
        }
    }

    fn loaded(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<u64, Failed> {
        self.loaded_since(0, wanted)?;
        self.status()
    }

    fn loaded_since(&mut self, seen: usize, wanted: impl Fn(&Value) -> bool) -> Result<(), Failed> {
        let is_load = |event: &Value| {
            event["method"] == "Page.lifecycleEvent"
                && event["params"]["name"] == "load"
                && wanted(event)
        };
        if !self.session.events[seen..].iter().any(is_load) {
            let chromium = self.chromium;
            self.session.receive(chromium, "loading a page", is_load)?;
        }
        Ok(())
    }

    fn status(&mut self) -> Result<u64, Failed> {
        let entry = "performance.getEntriesByType('navigation')[0].responseStatus";
        Ok(self.evaluate(entry)?.as_u64().unwrap_or(0))
    }

    /// Waits until all that has happened so far has been told.
    fn flush(&mut self) -> Result<(), Failed> {
        self.evaluate("0").map(|_| ())
    }

    /// What an expression of JavaScript is in the page, or what its promise becomes.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value, Failed> {
        let asked = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", asked).map_err(|failed| {
            format!("{}\nof: {expression}", failed.message().unwrap_or_default())
        })?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            thrown => Err(format!("{}\nof: {expression}", thrown["exception"]).into()),
        }
    }

    /// Whether an expression holds in the page.
    pub fn holds(&mut self, expression: &str) -> Result<bool, Failed> {
        Ok(self.evaluate(expression)? == true)
    }

    /// What an expression is, as text.
    pub fn text(&mut self, expression: &str) -> Result<String, Failed> {
        Ok(text(&self.evaluate(expression)?))
    }

    /// Waits until a condition holds in the page.
    pub fn until(&mut self, condition: &str) -> Result<(), Failed> {
        let look = format!(
            "new Promise((done) => {{
               const look = () => ({condition}) ? done(true) : setTimeout(look, 5);
               look();
             }})"
        );
        self.evaluate(&look).map(|_| ())
    }

    /// Clicks on what a selector finds, where a person would.
    pub fn click(&mut self, selector: &str) -> Result<(), Failed> {
        let place = self.evaluate(&format!(
            "(() => {{
               const found = document.querySelector({selector:?});
               found.scrollIntoView({{ block: 'center', behavior: 'instant' }});
               const box = found.getBoundingClientRect();
               return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
             }})()"
        ))?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind,
                "x": place["x"],
                "y": place["y"],
                "button": "left",
                "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Replaces what stands in a field by what a person types.
    pub fn fill(&mut self, selector: &str, value: &str) -> Result<(), Failed> {
        self.evaluate(&format!(
            "(() => {{
               const field = document.querySelector({selector:?});
               field.focus();
               field.select();
             }})()"
        ))?;
        match value {
            "" => self.press("Delete", 46, 0),
            _ => self
                .call("Input.insertText", json!({ "text": value }))
                .map(|_| ()),
        }
    }

    /// Presses and lets go a key; modifier 2 is Ctrl.
    pub fn press(&mut self, key: &str, code: u32, modifiers: u32) -> Result<(), Failed> {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind,
                "key": key,
                "code": key,
                "windowsVirtualKeyCode": code,
                "modifiers": modifiers,
            });
            if key == "Enter" && kind == "keyDown" {
                event["text"] = json!("\r");
            }
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// Looks at the page through a window of that width, and of a screen's height.
    pub fn resize(&mut self, width: u64) -> Result<(), Failed> {
        let size =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size)
            .map(|_| ())
    }

    /// Prefers light or dark colours.
    pub fn prefer(&mut self, scheme: &str) -> Result<(), Failed> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .map(|_| ())
    }

    /// Writes a picture of the whole page into a file.
    pub fn photograph(&mut self, file: &Path) -> Result<(), Failed> {
        let size = self.call("Page.getLayoutMetrics", json!({}))?["cssContentSize"].take();
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let asked = json!({ "captureBeyondViewport": true, "clip": clip });
        let shot = self.call("Page.captureScreenshot", asked)?;
        let bytes = data_encoding::BASE64.decode(text(&shot["data"]).as_bytes())?;
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        Ok(fs::write(file, bytes)?)
    }

    /// What the console of the page has been told of errors and warnings so far.
    pub fn faults(&mut self) -> Result<Vec<String>, Failed> {
        self.flush()?;
        Ok(self.session.events.iter().filter_map(fault).collect())
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        let nothing = Session::on("", mpsc::channel().1);
        let session = mem::replace(&mut self.session, nothing);
        if self.is_clean {
            return locked(&self.chromium.idle).push(session);
        }
        let context = json!({ "browserContextId": session.context });
        // If the browser has ended, so has the tab.
        let _ = self.chromium.ask("Target.disposeBrowserContext", context);
        locked(&self.chromium.routes).remove(&session.id);
    }
}

/// What an event tells of an error or a warning.
fn fault(event: &Value) -> Option<String> {
    let told = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &told["exceptionDetails"];
            let thrown = text(&details["exception"]["description"]);
            Some(format!("{}: {thrown}", text(&details["text"])))
        }
        "Runtime.consoleAPICalled" => {
            let kind = told["type"].as_str()?;
            let is_fault = ["error", "warning", "assert"].contains(&kind);
            is_fault.then(|| format!("console.{kind}: {}", told["args"]))
        }
        "Log.entryAdded" => {
            let entry = &told["entry"];
            let level = entry["level"].as_str()?;
            let is_fault = ["error", "warning"].contains(&level);
            is_fault.then(|| format!("{level}: {} {}", text(&entry["text"]), text(&entry["url"])))
        }
        _ => None,
    }
}

/// A value as text: a string without its quotes.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
