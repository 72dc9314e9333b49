//! Words that are not used: names that only their author understood, and phrases that sound
//! translated. The field has a word for each.

use anyhow::Result;

use super::problem::Problem;
use super::source::{TEXT, is_generated};
use crate::tree::{self, Tree};

/// This file, which must name them.
const OWN: &str = "crates/xtask/src/tidy/words.rs";

/// Each with what is written instead; found as whole words, also inside of identifiers.
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

const PHRASES: [(&str, &str); 2] =
    [("what became of", "the outcome of"), ("those who", "clients that")];

/// The goods are called tickets; one that fixes an order is a queue number.
const GOODS: [&str; 5] =
    ["ticket service", "ticket_service", "ticketservice", "tickets", "ticket-service"];

/// Words that stand for something else there: in files that start so.
const ALLOWED: [(&str, &str); 0] = [];

/// Checks every text that is written by hand.
pub fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let texts = tree.ending(&TEXT).chain(tree.ending(&[".go", ".tpl", ".txt"]));
    for file in texts.filter(|file| !is_generated(file) && *file != OWN) {
        for (index, line) in tree::read(file)?.lines().enumerate() {
            let found = unwanted(line).into_iter();
            let allowed =
                |word: &str| ALLOWED.iter().any(|(one, at)| *one == word && file.starts_with(at));
            problems.extend(found.filter(|(word, _)| !allowed(word)).map(|(word, instead)| {
                Problem::at(file, index, format!("`{word}`; write: {instead}"))
            }));
        }
    }
    Ok(problems)
}

/// The words of a line that are not used, with what is written instead.
fn unwanted(line: &str) -> Vec<(String, &'static str)> {
    let lower = line.to_lowercase();
    let phrases = PHRASES.iter().filter(|(phrase, _)| lower.contains(phrase));
    let mut found: Vec<_> =
        phrases.map(|(phrase, instead)| ((*phrase).to_owned(), *instead)).collect();
    for word in words(line) {
        let entry = WORDS.iter().find(|(words, _)| words.split(' ').any(|one| one == word));
        found.extend(entry.map(|(_, instead)| (word.clone(), *instead)));
        if word == "ticket" && !GOODS.iter().any(|goods| lower.contains(goods)) {
            found.push((word, "queue number"));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        unwanted(line).into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn words_are_found_whole_and_inside_of_names() {
        assert_eq!(
            found("let told_twice = VaultDoor::new(told1);"),
            ["told", "vault", "door", "told"]
        );
        assert_eq!(found("A store says What Became Of each"), ["what became of"]);
        assert_eq!(found("outdoor, foretell, Visitor, visit_str"), ["visit"]);
    }

    #[test]
    fn a_ticket_is_what_is_sold() {
        assert_eq!(found("ticket: Ticket"), ["ticket", "ticket"]);
        assert_eq!(found("two tickets from the Ticket Service, TicketServiceClient"), [""; 0]);
    }
}
