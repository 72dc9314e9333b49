//! Rust sources without comments, strings and test modules.

use std::ops::Range;

use anyhow::Result;

use crate::tree::Tree;

/// One source file.
pub struct RustSource {
    /// From the top of the repository.
    pub path: String,
    /// Unchanged.
    pub text: String,
    /// The same lines: each character of a string is a quotation mark, each of a comment a space.
    pub code: String,
}

/// Every source file of the workspace.
pub fn sources(tree: &Tree) -> Result<Vec<RustSource>> {
    let files = tree.ending(&[".rs"]);
    files.map(|path| Ok(RustSource::new(path, tree.text(path)?))).collect()
}

impl RustSource {
    /// Reads one.
    pub fn new(path: &str, text: String) -> Self {
        Self { path: path.to_owned(), code: code(&text), text }
    }

    /// The code without its test module; empty if all of the file is a test.
    pub fn product(&self) -> &str {
        let in_src = self.path.split_once("/src/").filter(|(_, rest)| !rest.contains("tests"));
        if in_src.is_none() {
            return "";
        }
        let tests = self.code.match_indices("#[cfg(test)]");
        let mut modules = tests.filter(|(at, mark)| {
            let rest = self.code[at + mark.len()..].trim_start();
            rest.starts_with("mod ") || rest.starts_with("#[")
        });
        modules.next().map_or(&self.code, |(at, _)| &self.code[..at])
    }

    /// The functions with a body: name and lines (0 = first).
    pub fn functions(&self) -> Vec<(&str, Range<usize>)> {
        let starts = self.code.match_indices("fn ").filter(|(at, _)| is_start(&self.code, *at));
        let found = starts.filter_map(|(at, keyword)| {
            let name = word(&self.code[at + keyword.len()..]);
            let end = body_end(&self.code[at..])?;
            let first = line_of(&self.code, at);
            (!name.is_empty()).then(|| (name, first..line_of(&self.code, at + end) + 1))
        });
        found.collect()
    }
}

/// The identifier that a text starts with.
pub fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Whether a word starts there.
pub fn is_start(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The line of a place, 0 = first.
pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count()
}

/// Where the body of the function at the start ends; `None` if it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut parens, mut braces) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => parens += 1,
            ')' | ']' => parens -= 1,
            ';' if parens == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => continue,
        }
        if c == '}' && braces == 0 {
            return Some(at);
        }
    }
    None
}

/// Blanks comments and strings, and keeps every line.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = !is_start(&code, code.len());
        let (length, blank) = match c {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), ' '),
            '/' if rest.starts_with("/*") => (comment_length(rest), ' '),
            '"' => (string_length(rest), '"'),
            'r' if !after_word || code.ends_with(['b', 'c']) => (raw_length(rest), '"'),
            '\'' => (char_length(rest), '"'),
            _ => (0, ' '),
        };
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { c } else { blank }));
            rest = &rest[length..];
        }
    }
    code
}

fn comment_length(rest: &str) -> usize {
    let mut depth = 0;
    for at in rest.char_indices().map(|(at, _)| at) {
        if rest[at..].starts_with("/*") {
            depth += 1;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at + 2;
            }
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Of `r"…"` and `r#"…"#`; 0 if it is something else.
fn raw_length(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
}

/// Of `'c'` and `'\n'`; 0 if it is a lifetime.
fn char_length(rest: &str) -> usize {
    let mut inside = rest[1..].char_indices();
    match inside.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(0, |at| at + 4),
        Some((_, c)) if rest[1 + c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 0,
    }
}
