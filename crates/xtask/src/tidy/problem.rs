//! What a rule reports: one place, and what is wrong there.

use std::fmt;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, from the top of the repository.
    pub file: String,
    /// 1 = first; `None` when it is about the file as a whole.
    line: Option<usize>,
    /// What is wrong, and what is wanted.
    what: String,
}

impl Problem {
    /// About a file as a whole.
    pub fn in_file(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into() }
    }

    /// About one line; `index` counts from 0.
    pub fn at(file: &str, index: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: Some(index + 1), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}
