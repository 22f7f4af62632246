//! The editions of the course: the same lessons in several languages.

use suite::translation;

/// The course in one language.
pub struct Edition {
    /// Its code, as in `<html lang="en">` and `LAB_LANG=en`.
    pub language: &'static str,
    /// The language, in itself.
    pub name: &'static str,
    /// The document, in the root of the workspace.
    pub lessons: &'static str,
    /// Where its part of the site is, below `html/`: empty or ending in a slash.
    pub folder: &'static str,
    pub words: Words,
}

/// What pages say that isn't in the document.
pub struct Words {
    pub lessons: &'static str,
    pub contents: &'static str,
    pub description: &'static str,
    pub previous: &'static str,
    pub next: &'static str,
    /// The terminals of a reader: `$`, `server$`, `second$`, `third$`.
    pub terminals: [&'static str; 4],
    pub checks: &'static str,
    pub checks_lead: &'static str,
    /// With `{number}` and `{idea}`.
    pub stage: &'static str,
    /// With `{must}`, which completes it.
    pub must: &'static str,
    pub hint: &'static str,
    pub try_it: &'static str,
}

/// The first one is the original.
pub const EDITIONS: [Edition; 2] = [
    Edition {
        language: "en",
        name: "English",
        lessons: "LESSONS.md",
        folder: "",
        words: Words {
            lessons: "Lessons",
            contents: "On this page",
            description: "How a web server works: build one, six times.",
            previous: "Previous",
            next: "Next",
            terminals: [
                "your terminal",
                "the server's terminal",
                "second terminal",
                "third terminal",
            ],
            checks: "The checks",
            checks_lead: "What each stage must do, why, and a hint.",
            stage: "Stage {number}: {idea}",
            must: "A server must {must}.",
            hint: "Hint",
            try_it: "Try it: ",
        },
    },
    Edition {
        language: "zh",
        name: "中文",
        lessons: "LESSONS.zh.md",
        folder: "zh/",
        words: Words {
            lessons: "课程",
            contents: "本页内容",
            description: "Web 服务器是怎么工作的：自己写一个，写六遍。",
            previous: "上一页",
            next: "下一页",
            terminals: ["你的终端", "服务器的终端", "第二个终端", "第三个终端"],
            checks: "检查项",
            checks_lead: "每个阶段必须做到什么，为什么，以及一个提示。",
            stage: "阶段 {number}：{idea}",
            must: "服务器必须{must}。",
            hint: "提示",
            try_it: "试一试：",
        },
    },
];

/// The edition in the reader's language.
pub fn chosen() -> &'static Edition {
    let mut editions = EDITIONS.iter();
    let edition = editions.find(|edition| edition.language == translation::code());
    edition.unwrap_or(&EDITIONS[0])
}
