//! `cargo xtask tidy`: style as a test. Each rule says what is wrong, where, and what is wanted;
//! all at once.
//!
//! ```text
//!   source    size, first line, forbidden words, white space          of the sources
//!   mentions  paths and links named in the documents exist             ARCHITECTURE.md, README.md, …
//!   metrics   documented = exposed                                      docs/operations.md, crates/worker/src/metrics.rs
//!   arrows    who may import whom                                       Cargo.toml files
//! ```

mod arrows;
mod mentions;
mod metrics;
mod source;

use std::fmt;

use anyhow::{Result, bail};

use crate::tree::Tree;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// The file, from the top of the repository.
    file: String,
    /// 1 = first; `None` when it is about the file as a whole.
    line: Option<usize>,
    /// What is wrong, and what is wanted.
    what: String,
}

impl Problem {
    fn in_file(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into() }
    }

    /// `index` counts from 0.
    fn at(file: &str, index: usize, what: impl Into<String>) -> Self {
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

/// Checks every rule.
pub fn run() -> Result<()> {
    let tree = Tree::read()?;
    let mut problems = source::check(&tree)?;
    problems.extend(mentions::check(&tree)?);
    problems.extend(metrics::check(&tree)?);
    problems.extend(arrows::check()?);
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => {
            println!("tidy: {} files, nothing to say", tree.files.len());
            Ok(())
        }
        count => bail!("tidy: {count} rules broken, listed above"),
    }
}
