//! Paths in back-ticks and link targets of the documents must exist.

use anyhow::Result;

use super::finding::Finding;
use crate::tree::Tree;

/// Documents that must exist.
const EXPECTED: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md"];

/// A name with one of these endings is a file of the repository in any folder.
const SOURCES: [&str; 4] = [".rs", ".lua", ".proto", ".md"];

/// Checks every document.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let missing = EXPECTED.into_iter().filter(|file| !tree.contains(file));
    let mut findings: Vec<_> =
        missing.map(|file| Finding::in_file(file, "is expected, and missing")).collect();
    for file in tree.ending(&[".md"]) {
        let text = tree.text(file)?;
        for (index, mention) in mentions(&text) {
            if !exists(tree, file, &mention) {
                findings.push(Finding::at(
                    file,
                    index,
                    format!("{} does not exist", mention.show()),
                ));
            }
        }
    }
    Ok(findings)
}

/// A way to name a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mention {
    /// Between back-ticks; from the top of the repository, or the end of some file's path.
    Code(String),
    /// Target of a link; from the document's own folder.
    Link(String),
}

impl Mention {
    fn show(&self) -> String {
        match self {
            Self::Code(path) => format!("`{path}`"),
            Self::Link(path) => format!("the link to {path}"),
        }
    }
}

/// All of them outside of code blocks, with their line (0 = first).
fn mentions(text: &str) -> Vec<(usize, Mention)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            // Odd pieces are between back-ticks.
            let code =
                line.split('`').skip(1).step_by(2).map(|piece| Mention::Code(piece.to_owned()));
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            let links = targets.map(|(target, _)| Mention::Link(target.to_owned()));
            found.extend(code.chain(links).map(|mention| (index, mention)));
        }
    }
    found
}

/// True also for text that is no path.
fn exists(tree: &Tree, document: &str, mention: &Mention) -> bool {
    match mention {
        Mention::Code(path) => !looks_like_a_path(tree, path) || named(tree, path),
        Mention::Link(target) => {
            let path = target.split('#').next().unwrap_or_default();
            path.is_empty() || path.contains(':') || tree.contains(&resolve(document, path))
        }
    }
}

/// Whether it starts in a folder of the repository, or ends like a source file.
fn looks_like_a_path(tree: &Tree, text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
    if text.is_empty() || text.starts_with('/') || !text.chars().all(plain) {
        return false;
    }
    let first = text.split('/').next().unwrap_or_default();
    let from_top =
        text.contains('/') && tree.folders.binary_search_by(|one| one.as_str().cmp(first)).is_ok();
    from_top || SOURCES.iter().any(|ending| text.ends_with(ending))
}

fn named(tree: &Tree, path: &str) -> bool {
    match path.split_once('*') {
        // `crates/store/src/redis/scripts/*.lua`
        Some((head, tail)) => {
            tree.files.iter().any(|file| file.starts_with(head) && file.ends_with(tail))
        }
        None => tree.contains(path) || tree.has_ending(path),
    }
}

/// A link's target from the top of the repository.
fn resolve(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
