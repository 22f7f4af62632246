//! Diagrams in Mermaid's language, as pictures.
//!
//! Only mermaid-cli, which needs a browser, can draw them. So a picture is drawn once, and then taken
//! from the page that has it: its id is a checksum of the source.

use harness::program::on_path;
use harness::workspace;
use regex::Regex;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// What draws, and how to install it.
const PROGRAM: &str = "target/mermaid/node_modules/.bin/mmdc";
const INSTALL: &str = "PUPPETEER_SKIP_DOWNLOAD=1 npm install --prefix target/mermaid \
    @mermaid-js/mermaid-cli@11.17.0";

/// Labels are text in SVG, which takes its color from the style sheet of the site.
const SETTINGS: &str = r#"{
  "theme": "neutral", "fontFamily": "sans-serif", "htmlLabels": false, "flowchart": { "htmlLabels": false }
}"#;

/// The id of the picture of a diagram.
fn id(source: &str) -> String {
    format!("diagram-{}", super::checksum(source))
}

/// The picture of a diagram, in pages that have it.
pub fn find<'a>(pages: &'a str, source: &str) -> Result<&'a str, String> {
    let start = pages.find(&format!("<svg id=\"{}\"", id(source)));
    let picture = start.and_then(|start| {
        let length = pages[start..].find("</svg>")? + "</svg>".len();
        Some(&pages[start..start + length])
    });
    picture.ok_or_else(|| {
        let first = source.lines().nth(1).unwrap_or_default().trim();
        format!("No page has the picture of the diagram with “{first}”. Draw it: cargo lab book")
    })
}

/// Draws a diagram.
pub fn draw(source: &str) -> Result<String, String> {
    let mmdc = workspace::root().join(PROGRAM);
    let browser = ["chromium", "google-chrome"].iter().find_map(on_path);
    let (true, Some(browser)) = (mmdc.exists(), browser) else {
        return Err(format!(
            "A new diagram takes mermaid-cli and Chromium to draw. Install it: {INSTALL}"
        ));
    };
    let folder = TempDir::new().map_err(|error| format!("Cannot create a folder: {error}"))?;
    let path = |name: &str| folder.path().join(name);
    // Root can't have the browser's sandbox. The diagrams are our own.
    let launch = serde_json::json!({ "executablePath": browser, "args": ["--no-sandbox"] });
    let files = [
        ("source.mmd", source),
        ("settings.json", SETTINGS),
        ("launch.json", &launch.to_string()),
    ];
    for (name, text) in files {
        fs::write(path(name), text).map_err(|error| format!("Cannot write {name}: {error}"))?;
    }
    let mut command = Command::new(mmdc);
    command
        .current_dir(folder.path())
        .args(["--quiet", "--backgroundColor", "transparent"]);
    command.args([
        "--puppeteerConfigFile",
        "launch.json",
        "--configFile",
        "settings.json",
    ]);
    command.args([
        "--svgId",
        &id(source),
        "--input",
        "source.mmd",
        "--output",
        "picture.svg",
    ]);
    let output = command
        .output()
        .map_err(|error| format!("Cannot run mermaid-cli: {error}"))?;
    let picture = fs::read_to_string(path("picture.svg"));
    let picture = picture.map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("mermaid-cli draws nothing: {}", errors.trim())
    })?;
    simplify(&picture)
}

/// Removes the picture's own style, which has no dark theme, and rounds lengths to a tenth of a pixel.
fn simplify(picture: &str) -> Result<String, String> {
    let mut picture = picture.trim().to_string();
    for (pattern, new) in [
        (r"(?s)<style>.*?</style>", ""),
        (r#" (data-[a-z-]+="[^"]*"|style="")"#, ""),
        (r"(\.[0-9])[0-9]+", "$1"),
    ] {
        let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
        picture = pattern.replace_all(&picture, new).into_owned();
    }
    Ok(picture)
}
