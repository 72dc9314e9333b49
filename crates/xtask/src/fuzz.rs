//! `cargo xtask fuzz`: fuzzes every endpoint that accepts untrusted input. The properties are in
//! `crates/fuzz`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{shell, tree};

/// A workspace of its own, because all of it is compiled for coverage.
const PROGRAMS: &str = "tests/fuzz";
/// A folder of seeds for each target.
const SEEDS: &str = "crates/fuzz/seeds";
/// Corpora, builds and artifacts.
const OUTPUT: &str = "target/fuzz";

/// What to fuzz, and for how long.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler; works on the stable toolchain. An input that violates a property
is kept in target/fuzz; as a file in crates/fuzz/seeds it is a part of every test run.")]
pub struct Args {
    /// Only these: the names of the folders in crates/fuzz/seeds
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
}

/// Fuzzes.
pub fn run(args: &Args) -> Result<()> {
    let found = shell::cargo()
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        bail!("cargo-fuzz is missing; install it: cargo install cargo-fuzz --locked");
    }
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|target| !all.contains(target)) {
        bail!("there is no target {unknown}; allowed: {}", all.join(", "));
    }
    let chosen = if args.targets.is_empty() { &all } else { &args.targets };
    for target in chosen {
        shell::run(&mut fuzz(target, args.seconds)?)?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let folder = tree::root().join(SEEDS);
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn fuzz(target: &str, seconds: u64) -> Result<Command> {
    let output = tree::root().join(OUTPUT);
    let corpus = output.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .with_context(|| format!("cannot make {}", corpus.display()))?;
    let mut fuzz = shell::cargo();
    // No sanitizer: those need a nightly compiler, and there is no unsafe code to watch.
    fuzz.args(["fuzz", "run", "--fuzz-dir", PROGRAMS, "--sanitizer", "none"]);
    fuzz.arg("--target-dir").arg(output.join("build"));
    fuzz.arg(target).arg(corpus).arg(tree::root().join(SEEDS).join(target));
    fuzz.args(["--", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    fuzz.arg(format!("-max_total_time={seconds}"));
    fuzz.arg(format!("-artifact_prefix={}/{target}-", output.display()));
    Ok(fuzz)
}
