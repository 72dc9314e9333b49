//! A broken rule: the place, and what is wrong there.

use std::fmt;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path from the top of the repository.
    pub file: String,
    /// 1 = first; `None` for the file as a whole.
    line: Option<usize>,
    /// What is wrong, and what is expected.
    what: String,
}

impl Finding {
    /// About a file as a whole.
    pub fn in_file(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into() }
    }

    /// About one line; `index` counts from 0.
    pub fn at(file: &str, index: usize, what: impl Into<String>) -> Self {
        Self { line: Some(index + 1), ..Self::in_file(file, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {what}"),
            None => write!(f, "{file}: {what}"),
        }
    }
}
