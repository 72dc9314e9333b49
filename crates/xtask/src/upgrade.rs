//! `cargo xtask upgrade`: builds an earlier commit as the previous release, and changes a live sale
//! from it to the present one and back, by `crates/faults`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::check_out::check_out;
use crate::faults::programs;
use crate::{kafka, shell, tree};

/// Where the sources of the previous release are checked out, and where its program is kept.
const FOLDER: &str = "target/upgrade";
/// A sale without other faults than those of the Booking Service, which has some always.
const DEFAULTS: [&str; 3] = ["--bookings=20000", "--for=120s", "--every=1000h"];

/// From which release, and how.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask upgrade                                   from the newest tag before HEAD
  cargo xtask upgrade --from v1.2.0
  cargo xtask upgrade --from HEAD~1 -- --every 500ms    with faults beside the roll-out

Exit code: 0 if every promise was kept. The program of the previous release stays in target/upgrade,
so that a second run does not build it again.")]
pub struct Args {
    /// The commit that stands for the previous release [default: the newest tag before HEAD]
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// Options of the run, after `--`; `cargo xtask faults --help` lists them
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Builds both releases and runs.
pub fn run(args: &Args) -> Result<()> {
    let commit = commit(args.from.as_deref())?;
    let folder = tree::root().join(FOLDER);
    let store = if kafka::is_wanted(&args.options) { "-kafka" } else { "" };
    let previous = folder.join(format!("bookingq-{commit}{store}"));
    let build = || programs::command(&args.options, false);
    if !previous.is_file() {
        build_previous(&folder.join("src"), &commit, build(), &previous)?;
    }
    shell::run(&mut build())?;
    let mut run = Command::new(tree::released("bookingq-faults"));
    run.current_dir(tree::root()).args(DEFAULTS).arg("--previous").arg(&previous);
    shell::run(run.args(&args.options))
}

/// The commit that is meant.
fn commit(from: Option<&str>) -> Result<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let read = shell::read(git.current_dir(tree::root()).args(arguments))?;
        anyhow::Ok(read.trim().to_owned())
    };
    let from = match from {
        Some(from) => from.to_owned(),
        None => git(&["describe", "--tags", "--abbrev=0", "HEAD~1"])
            .context("there is no tag before HEAD: choose a commit with --from")?,
    };
    let commit = git(&["rev-parse", "--verify", "--short=12", &format!("{from}^{{commit}}")])?;
    println!("the previous release is {from}, commit {commit}");
    Ok(commit)
}

/// Builds the commit. In our own target folder, so that crates of others are built once.
fn build_previous(sources: &Path, commit: &str, mut cargo: Command, program: &Path) -> Result<()> {
    check_out(commit, sources)?;
    let built = tree::released("bookingq");
    let target = built.parent().and_then(Path::parent).map_or_else(PathBuf::new, PathBuf::from);
    shell::run(cargo.current_dir(sources).env("CARGO_TARGET_DIR", &target))?;
    // Named at the end: a copy that was interrupted is not taken for the program.
    let part = program.with_extension("part");
    fs::copy(&built, &part).with_context(|| format!("cannot copy {}", built.display()))?;
    fs::rename(&part, program)?;
    fs::remove_dir_all(sources).with_context(|| format!("cannot delete {}", sources.display()))
}
