//! `cargo xtask tidy`: style as a test. Each rule says what is wrong, where, and what is wanted;
//! all at once.
//!
//! ```text
//!   source     size, first line, what must not stay, white space     every text
//!   words      names and phrases that are not used                   every text
//!   width      lines of at most 100 characters                       code, prose
//!   functions  at most 60 lines                                      Rust
//!   types      one meaning for each type name                        Rust
//!   circles    no import circles inside a crate                      Rust
//!   arrows     which crate may import which                          Cargo.toml files
//!   mentions   paths and links in the documents exist                ARCHITECTURE.md, README.md, …
//!   metrics    documented = exposed                                  docs/operations.md
//! ```

mod arrows;
mod circles;
mod functions;
mod mentions;
mod metrics;
mod problem;
mod rust;
mod source;
mod types;
mod width;
mod words;

use anyhow::{Result, bail};

use self::problem::Problem;
use crate::tree::Tree;

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Until the whole workspace follows them, the newest rules (words, line width, function length, type names, import circles)
run only with --all. To see those of one crate:  cargo xtask tidy --all crates/store docs/redis-keys.md")]
pub struct Args {
    /// Run the newest rules too
    #[arg(long)]
    all: bool,
    /// Print only the problems in these files and folders
    #[arg(value_name = "PATH")]
    only: Vec<String>,
}

/// Checks every rule.
pub fn run(args: &Args) -> Result<()> {
    let tree = Tree::read()?;
    let mut problems = source::check(&tree)?;
    problems.extend(mentions::check(&tree)?);
    problems.extend(metrics::check(&tree)?);
    problems.extend(arrows::check()?);
    if args.all {
        let sources = rust::sources(&tree)?;
        problems.extend(words::check(&tree)?);
        problems.extend(width::check(&tree, &sources)?);
        problems.extend(functions::check(&sources));
        problems.extend(types::check(&sources));
        problems.extend(circles::check(&sources));
    }
    let wanted = |problem: &Problem| args.only.iter().any(|path| problem.file.starts_with(path));
    problems.retain(|problem| args.only.is_empty() || wanted(problem));
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
