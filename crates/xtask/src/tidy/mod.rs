//! `cargo xtask tidy`: style as a test. It reports every broken rule with its place.
//!
//! ```text
//!   source     size, first line, leftovers, white space              every text
//!   words      names and phrases that are not used                   every text
//!   width      lines of at most 100 characters                       code, prose
//!   functions  at most 60 lines                                      Rust
//!   types      one meaning for each type name                        Rust
//!   circles    no import circles inside a crate                      Rust
//!   places     only core compares queue numbers                      Rust
//!   arrows     which crate may import which                          Cargo.toml files
//!   mentions   paths and links in the documents exist                ARCHITECTURE.md, README.md, …
//!   metrics    documented = exposed                                  docs/operations.md
//!   runbooks   each alert has one, and a test                        docs/runbooks.md
//!   rights     each right of the operator is explained               docs/security.md
//!   images     those used by default are listed                     charts/bookingq/images.txt
//! ```

pub mod arrows;
pub mod circles;
mod finding;
pub mod functions;
pub mod images;
pub mod mentions;
pub mod metrics;
pub mod places;
pub mod rights;
pub mod runbooks;
pub mod rust;
pub mod source;
pub mod types;
pub mod width;
pub mod words;

use anyhow::{Result, bail};

pub use self::finding::Finding;
use crate::tree::{self, Tree};

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:  cargo xtask tidy crates/store docs/redis-keys.md")]
pub struct Args {
    /// Print only findings in these files and folders
    #[arg(value_name = "PATH")]
    only: Vec<String>,
}

/// Checks every rule.
pub fn run(args: &Args) -> Result<()> {
    let tree = Tree::read(&tree::root())?;
    let sources = rust::sources(&tree)?;
    let mut findings = source::check(&tree)?;
    findings.extend(words::check(&tree)?);
    findings.extend(width::check(&tree, &sources)?);
    findings.extend(functions::check(&sources));
    findings.extend(types::check(&sources));
    findings.extend(circles::check(&sources));
    findings.extend(places::check(&sources));
    findings.extend(arrows::check()?);
    findings.extend(mentions::check(&tree)?);
    findings.extend(metrics::check(&tree)?);
    findings.extend(runbooks::check(&tree)?);
    findings.extend(rights::check(&tree)?);
    findings.extend(images::check(&tree)?);
    let wanted = |finding: &Finding| args.only.iter().any(|path| finding.file.starts_with(path));
    findings.retain(|finding| args.only.is_empty() || wanted(finding));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings, listed above", findings.len());
    }
    println!("tidy: {} files, no findings", tree.files.len());
    Ok(())
}
