//! The site as people see it: every page of `html/` through every stage, in Chromium.
//!
//! Chromium is Debian's package `chromium`, or what `LAB_CHROMIUM` names. Without it these
//! tests are ignored; with `LAB_BROWSER=required` in the environment that is a failure.
//! Pictures of the pages, for a person to look at, go to `target/screenshots`.

mod chromium;
mod stand;
mod wire;

use chromium::Tab;
use lab::ending;
use lab::workspace::{self, STAGES, Stage};
use libtest_mimic::{Arguments, Failed, Trial};
use stand::{PRIVATE, Stand, address};
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// A behaviour to be seen on one stage.
type Look = fn(&mut Tab, &'static Stage) -> Result<(), Failed>;

/// What is to be seen besides the pages as such.
const BEHAVIOURS: [(&str, Look); 11] = [
    ("form", the_form_is_answered),
    ("script", the_script_says_who_served),
    ("search", a_search_is_shown),
    ("dropdown", the_dropdown_opens_and_closes),
    ("missing", a_missing_page_is_told),
    ("private", a_private_file_is_told),
    ("wire/typed", wire::what_is_typed_is_sent),
    ("wire/address", wire::an_address_fills_in),
    ("wire/faults", wire::what_is_wrong_is_named),
    ("wire/command", wire::the_command_sends_what_is_typed),
    ("wire/copy", wire::the_command_is_copied),
];

/// The pictures: a name, a width, and which colours are preferred.
const PICTURES: [(&str, u64, &str); 3] = [
    ("1200-light", 1200, "light"),
    ("1200-dark", 1200, "dark"),
    ("375-dark", 375, "dark"),
];

/// The widths of telephones.
const PHONES: [u64; 2] = [320, 375];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // More tabs at once make nothing faster: the browser is one.
    arguments.test_threads.get_or_insert(2);
    let started = Arc::new(Started {
        chromium: chromium::program(),
        stand: OnceLock::new(),
    });
    let required = env::var("LAB_BROWSER").is_ok_and(|value| value == "required");
    if required && started.chromium.is_none() {
        eprintln!("Chromium is missing. Install it: apt-get install chromium");
        return ExitCode::FAILURE;
    }
    let trials = match trials(&started) {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("Cannot read the folder html: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = ending::watch_for_signals() {
        eprintln!("Cannot watch for signals: {error}");
        return ExitCode::FAILURE;
    }
    // The last to hold it are the trials and we: what was started ends with that.
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(started);
    conclusion.exit_code()
}

/// The browser's program, and the stand, as soon as a trial needs it.
struct Started {
    chromium: Option<PathBuf>,
    stand: OnceLock<Result<Stand, String>>,
}

impl Started {
    fn stand(&self) -> Result<&Stand, Failed> {
        let stand = self.stand.get_or_init(|| {
            let chromium = self.chromium.as_ref().ok_or("Chromium is missing")?;
            Stand::new(chromium).map_err(|failed| failed.message().unwrap_or("").to_string())
        });
        Ok(stand.as_ref()?)
    }
}

fn trials(started: &Arc<Started>) -> std::io::Result<Vec<Trial>> {
    let broken = |_: &Stand, tab: &mut Tab| wire::a_broken_answer_is_told(tab);
    let mut trials = vec![trial("broken/wire", started, broken)];
    for stage in &STAGES {
        for page in stand::pages()? {
            let name = format!("{}/{page}", stage.name);
            let (one, other) = (page.clone(), page);
            trials.push(trial(&format!("{name}/loads"), started, move |_, tab| {
                a_page_loads(tab, stage, &one)
            }));
            trials.push(trial(&format!("{name}/phone"), started, move |_, tab| {
                a_page_fits_a_phone(tab, stage, &other)
            }));
        }
        let name = format!("{}/wire/picks", stage.name);
        trials.push(trial(&name, started, move |stand, tab| {
            wire::every_pick_is_answered(tab, stage, stand.address(stage))
        }));
        for (name, look) in BEHAVIOURS {
            let name = format!("{}/{name}", stage.name);
            trials.push(trial(&name, started, move |_, tab| look(tab, stage)));
        }
    }
    Ok(trials)
}

/// A trial in a tab, to be ignored where there is no browser.
fn trial(
    name: &str,
    started: &Arc<Started>,
    look: impl FnOnce(&Stand, &mut Tab) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let ignored = started.chromium.is_none();
    let started = Arc::clone(started);
    let run = move || {
        let stand = started.stand()?;
        let mut tab = stand.chromium.tab()?;
        look(stand, &mut tab)?;
        // Only a tab in which all went well is used again.
        stand.chromium.keep(tab)
    };
    Trial::test(name, run).with_ignored_flag(ignored)
}

/// Fails unless both are the same, and says what they are of.
fn must_be<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) -> Result<(), Failed> {
    match seen == wanted {
        true => Ok(()),
        false => Err(format!("{what}:\n  expected {wanted:?}\n  seen     {seen:?}").into()),
    }
}

/// Fails unless a text has this part.
fn must_contain(what: &str, text: &str, part: &str) -> Result<(), Failed> {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("{what}:\n  expected {part:?} in\n  {text:?}").into()),
    }
}

/// What the console is told of an answer with that status to a request for that target.
fn told_of(status: u16, target: &str) -> [String; 2] {
    let told = "error: Failed to load resource: the server responded with a status of";
    [format!("{told} {status} "), target.to_string()]
}

/// The console of a page must be told of no error, but for those which have such a beginning
/// and such an end.
fn must_be_quiet(tab: &mut Tab, expected: &[[String; 2]]) -> Result<(), Failed> {
    for fault in tab.faults()? {
        let is_expected =
            |[start, end]: &[String; 2]| fault.starts_with(start) && fault.ends_with(end);
        if !expected.iter().any(is_expected) {
            return Err(format!("the console of the page says: {fault}").into());
        }
    }
    Ok(())
}

/// The same, for a page that names no icon: the browser then looks for one by itself.
fn must_be_quiet_but_for_icon(tab: &mut Tab, expected: &[[String; 2]]) -> Result<(), Failed> {
    let icon = told_of(404, "/favicon.ico");
    must_be_quiet(tab, &[expected, &[icon]].concat())
}

/// A page opens, is styled, and shows its pictures; nothing complains.
fn a_page_loads(tab: &mut Tab, stage: &'static Stage, page: &str) -> Result<(), Failed> {
    // The first page is asked for as people do.
    let target = format!("/{}", page.strip_prefix("index.html").unwrap_or(page));
    tab.resize(1200)?;
    must_be("the status", tab.open(&address(stage, &target))?, 200)?;
    must_be_styled(tab)?;
    must_show_pictures(tab, stage)?;
    let here = "Array.from(document.querySelectorAll('.site-head [aria-current=page]'), (link) => link.pathname).join()";
    let in_bar = format!("!!document.querySelector('.site-head a[href={target:?}]')");
    let wanted = match tab.holds(&in_bar)? {
        true => target.as_str(),
        false => "",
    };
    must_be(
        "the link to this page in the bar",
        tab.text(here)?.as_str(),
        wanted,
    )?;
    must_be_quiet(tab, &[])?;
    photograph(tab, stage, page)
}

/// The sheet counts, and not only its link: its colours and boxes are seen.
fn must_be_styled(tab: &mut Tab) -> Result<(), Failed> {
    tab.prefer("light")?;
    let style = "(() => {
        const body = getComputedStyle(document.body);
        const main = getComputedStyle(document.querySelector('main'));
        return [body.backgroundColor, body.marginTop, main.paddingTop].join();
    })()";
    must_be(
        "the style",
        tab.text(style)?.as_str(),
        "rgb(238, 244, 244),0px,40px",
    )?;
    let bar = "getComputedStyle(document.querySelector('.site-head nav') ?? document.body).display";
    let wanted = match tab.holds("!!document.querySelector('.site-head')")? {
        true => "flex",
        false => "block",
    };
    must_be("the style of the bar", tab.text(bar)?.as_str(), wanted)
}

/// Each picture, the icon among them, is decoded; a drawing only where its type was sent.
fn must_show_pictures(tab: &mut Tab, stage: &Stage) -> Result<(), Failed> {
    let pictures = tab.evaluate(
        "Promise.all(Array.from(document.querySelectorAll('img, link[rel=icon]'), async (found) => {
           const picture = new Image();
           picture.src = found.currentSrc || found.src || found.href;
           const decoded = await picture.decode().then(() => true, () => false);
           const shown = found.tagName !== 'IMG' || found.naturalWidth > 0;
           return [new URL(picture.src).pathname, decoded && shown];
         }))",
    )?;
    let pictures = pictures.as_array().ok_or("no list of pictures")?;
    for picture in pictures {
        let is_drawing = picture[0]
            .as_str()
            .is_some_and(|path| path.ends_with(".svg"));
        // The lesson: stages 1 to 3 do not say that it is a picture.
        let wanted = !is_drawing || stage.number == 4;
        let shown = picture[1] == true;
        must_be(&format!("is {} shown", picture[0]), shown, wanted)?;
    }
    Ok(())
}

/// Nothing stands out to the side on a telephone.
fn a_page_fits_a_phone(tab: &mut Tab, stage: &'static Stage, page: &str) -> Result<(), Failed> {
    tab.open(&address(stage, &format!("/{page}")))?;
    for width in PHONES {
        tab.resize(width)?;
        must_fit(tab, width)?;
    }
    Ok(())
}

/// No part of the page is wider than the window; what is, is named.
fn must_fit(tab: &mut Tab, width: u64) -> Result<(), Failed> {
    let seen = tab.evaluate("document.documentElement.scrollWidth")?;
    if seen.as_u64().is_some_and(|seen| seen <= width) {
        return Ok(());
    }
    let wide = tab.text(&format!(
        "Array.from(document.querySelectorAll('body *'))
           .filter((found) => found.getBoundingClientRect().right > {width})
           .slice(0, 5).map((found) => found.outerHTML.slice(0, 100)).join('\\n  ')"
    ))?;
    Err(format!("at {width} px the page is {seen} px wide, by:\n  {wide}").into())
}

/// Takes the pictures of a page, through the first stage and the last.
fn photograph(tab: &mut Tab, stage: &Stage, page: &str) -> Result<(), Failed> {
    if stage.number != 1 && stage.number != 4 {
        return Ok(());
    }
    let folder = workspace::root().join("target/screenshots");
    for (name, width, scheme) in PICTURES {
        tab.resize(width)?;
        tab.prefer(scheme)?;
        let page = page.trim_end_matches(".html");
        tab.photograph(&folder.join(format!("{page}-{}-{name}.png", stage.name)))?;
    }
    Ok(())
}

/// What a person might type to break a form.
const NAME: &str = "<script>document.title = 'broken'</script>";
const REMARKS: &str = "1 + 1 = 2 & \"quotes\", 'others', 50 %; &lt;\n你好, é";

/// The form is filled in and sent; stage 4 shows each field unharmed.
fn the_form_is_answered(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, "/MyForm.html"))?;
    tab.fill("#name", NAME)?;
    tab.fill("#remarks", REMARKS)?;
    tab.evaluate("document.querySelector('#day').value = '2026-02-28'")?;
    for selector in ["#rust-some", "#ran-1"] {
        tab.click(selector)?;
    }
    let status = tab.follow(|tab| tab.click("button[type=submit]"))?;
    if stage.number < 4 {
        must_be("the status of POST", status, 501)?;
        return must_be_quiet_but_for_icon(tab, &[told_of(501, "/MyForm.html")]);
    }
    must_be("the status of POST", status, 200)?;
    let rows = tab.evaluate(
        "Array.from(document.querySelectorAll('tr'), (row) =>
           row.querySelector('th').textContent + ': ' + row.querySelector('td').textContent)",
    )?;
    let sent = REMARKS.replace('\n', "\r\n");
    // The parser of HTML reads CR LF as one line feed.
    let shown = sent.replace("\r\n", "\n");
    let wanted = serde_json::json!([
        "form: MyForm",
        format!("name: {NAME}"),
        "email: ",
        "day: 2026-02-28",
        "hours: 3",
        "rust: some",
        "stage: 1",
        "stage: 4",
        "next: keep-alive",
        format!("remarks: {shown}"),
    ]);
    must_be("the fields", rows, wanted)?;
    must_be(
        "the title",
        tab.text("document.title")?.as_str(),
        "What the server received",
    )?;
    must_be_styled(tab)?;
    must_be_quiet(tab, &[])?;
    for width in PHONES {
        tab.resize(width)?;
        must_fit(tab, width)?;
    }
    photograph(tab, stage, "answer-to-form")
}

fn the_script_says_who_served(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, "/"))?;
    let served = tab.text("document.querySelector('[data-served]').textContent")?;
    let wanted = format!("This page was served by stage {},", stage.number);
    must_contain("the foot of the page", &served, &wanted)
}

fn a_search_is_shown(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, "/simple_navbar.html"))?;
    let words = "<b>one & two</b> + 你";
    tab.fill("#q", words)?;
    must_be(
        "the status",
        tab.follow(|tab| tab.press("Enter", 13, 0))?,
        200,
    )?;
    let shown = tab.text("document.querySelector('[data-query]').textContent")?;
    must_contain("what was searched for", &shown, &format!("“{words}”"))?;
    let field = tab.text("document.querySelector('#q').value")?;
    must_be("the field", field.as_str(), words)?;
    must_be_quiet(tab, &[])
}

fn the_dropdown_opens_and_closes(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    tab.open(&address(stage, "/simple_navbar.html"))?;
    let first = "document.querySelector('.bar details li').checkVisibility()";
    let must_show = |tab: &mut Tab, when: &str, wanted: bool| {
        must_be(
            &format!("is the dropdown open {when}"),
            tab.holds(first)?,
            wanted,
        )
    };
    must_show(tab, "at first", false)?;
    tab.click(".bar summary")?;
    must_show(tab, "after a click", true)?;
    tab.press("Escape", 27, 0)?;
    must_show(tab, "after Escape", false)?;
    tab.press("Enter", 13, 0)?;
    must_show(tab, "after Enter", true)?;
    tab.click("h1")?;
    must_show(tab, "after a click elsewhere", false)?;
    tab.click(".bar summary")?;
    // Its links lead to the same page of the other stages.
    must_be("the status", tab.follow(|tab| tab.click(".bar li a"))?, 200)?;
    let served = tab.text("document.querySelector('[data-served]').textContent")?;
    must_contain("the first link", &served, "stage 1,")
}

fn a_missing_page_is_told(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    let status = tab.open(&address(stage, "/no/such/page"))?;
    must_be("the status", status, 404)?;
    must_be_quiet_but_for_icon(tab, &[told_of(404, "/no/such/page")])?;
    let shown = tab.text("document.body.innerText")?;
    if stage.number < 4 {
        return must_contain("the page", &shown, "404");
    }
    must_contain("the page", &shown, "There is nothing at this address")?;
    must_be_styled(tab)?;
    must_show_pictures(tab, stage)
}

fn a_private_file_is_told(tab: &mut Tab, stage: &'static Stage) -> Result<(), Failed> {
    let target = format!("/{}", PRIVATE.0);
    let status = tab.open(&address(stage, &target))?;
    let shown = tab.text("document.body.innerText")?;
    if stage.number < 4 {
        must_be("the status", status, 200)?;
        return must_contain("the page", &shown, PRIVATE.1.trim());
    }
    must_be("the status", status, 403)?;
    must_be_quiet(tab, &[told_of(403, &target)])?;
    must_contain("the page", &shown, "This file is not meant for everybody")?;
    must_be_styled(tab)
}
