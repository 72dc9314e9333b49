//! Words that are not used, because the field has other ones.

use anyhow::Result;

use super::finding::Finding;
use super::source::{TEXT, is_generated};
use crate::tree::Tree;

/// The files that must name them.
const OWN: [&str; 2] = ["crates/xtask/src/tidy/words.rs", "crates/xtask/tests/tidy_words.rs"];

/// Words with their replacements. They are found whole, also inside of identifiers.
const WORDS: [(&str, &str); 33] = [
    ("anew", "again, from the start"),
    ("blow blows strike strikes", "signal"),
    ("bury buries buried", "forget"),
    ("cage cages", "supervised process"),
    ("calm", "clear"),
    ("conduct", "fault injector, behaviour"),
    ("desk", "admin state"),
    ("door doors", "endpoint, service, channel pool"),
    ("fate", "connection action, outcome"),
    ("fleet fleets", "autoscaler, worker pool"),
    ("hall", "run context"),
    ("hear hears heard", "on event, receive"),
    ("hire hires hired", "add a worker"),
    ("judge judges judged judging", "classify, verify"),
    ("keeper keepers", "store monitor"),
    ("mind", "behaviour"),
    ("mood moods", "service fault"),
    ("nobody", "no client, no worker"),
    ("patience", "retry, limit"),
    ("picture pictures", "view, plan options, status inputs"),
    ("recipe recipes", "process spec"),
    ("scene scenes", "testbed"),
    ("shop shops", "Booking Service"),
    ("site sites", "operator environment, queue run"),
    ("tell tells told telling", "publish, report, notify, say"),
    ("torment torments", "inject"),
    ("trouble troubles", "error, fault"),
    ("upset upsets", "redis fault"),
    ("vault vaults", "secret cache"),
    ("verdict verdicts", "task outcome, result"),
    ("visit visits visiting", "join attempt, load run"),
    ("whoever", "the client that, the worker that"),
    ("wish wishes", "desired state"),
];

const PHRASES: [(&str, &str); 4] = [
    ("what became of", "the outcome of"),
    ("those who", "clients that"),
    // Tickets are the goods, and a service knows how many are left.
    ("ticket number", "queue number"),
    ("ticket_number", "queue number"),
];

/// Words with another meaning in paths that start so.
const ALLOWED: [(&str, &str); 3] = [
    // A trait of `tracing`.
    ("visit", "crates/serve/src/telemetry/json.rs"),
    // `Sec-Fetch-Site` and `SameSite` are names of the web.
    ("site", "crates/gateway/"),
    ("site", "crates/fuzz/src/headers.rs"),
];

/// Checks every text that is not generated.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let texts = tree.ending(&TEXT).chain(tree.ending(&[".go", ".tpl", ".txt"]));
    for file in texts.filter(|file| !is_generated(file) && !OWN.contains(file)) {
        for (index, line) in tree.text(file)?.lines().enumerate() {
            let found = unwanted(line).into_iter();
            let allowed =
                |word: &str| ALLOWED.iter().any(|(one, at)| *one == word && file.starts_with(at));
            findings.extend(found.filter(|(word, _)| !allowed(word)).map(|(word, instead)| {
                Finding::at(file, index, format!("`{word}`; write: {instead}"))
            }));
        }
    }
    Ok(findings)
}

/// The words of a line that are not used, with their replacements.
pub fn unwanted(line: &str) -> Vec<(String, &'static str)> {
    let lower = line.to_lowercase();
    let phrases = PHRASES.iter().filter(|(phrase, _)| lower.contains(phrase));
    let mut found: Vec<_> =
        phrases.map(|(phrase, instead)| ((*phrase).to_owned(), *instead)).collect();
    for word in words(line) {
        let entry = WORDS.iter().find(|(words, _)| words.split(' ').any(|one| one == word));
        found.extend(entry.map(|(_, instead)| (word.clone(), *instead)));
    }
    found
}

/// The words of a line, those inside of `snake_case` and `CamelCase` too, in lower case.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        if !c.is_alphabetic() || c.is_uppercase() && before.is_lowercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphabetic()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}
