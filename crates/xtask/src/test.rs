//! `cargo xtask test`: installs what is missing, runs the tests, and counts them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::control_plane::{ASSETS, ControlPlanePrograms};
use crate::prerequisites::{self, GO, REDIS};
use crate::shell;

/// The package whose tests want a control plane, and the feature that turns these tests on.
const OPERATOR: &str = "bookingq-operator";
const CONTROL_PLANE: &str = "bookingq-operator/control-plane";

/// How to run the tests.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                          everything
  cargo xtask test -p bookingq-store        one crate
  cargo xtask test -- late_payment          tests whose names contain this

The operator's tests run against a real API server: see tests/control-plane/README.md.")]
pub struct Args {
    /// Passed on to `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    forwarded: Vec<String>,
}

/// Runs them all; every failure is seen in one run.
pub fn run(args: &Args) -> Result<()> {
    let control_plane = set_up(wants_control_plane(&args.forwarded))?;
    let start = Instant::now();
    // clap takes a `--` that comes first as its own.
    let dashes = std::env::args().nth(2).filter(|word| word == "--");
    let narrowed = dashes.is_none() && chooses_packages(&args.forwarded);
    let scope = (!narrowed).then_some("--workspace");
    let common = |cargo: &mut Command| {
        cargo.args(["--locked", "--no-fail-fast"]).args(scope).args(&dashes).args(&args.forwarded);
    };
    let real = |cargo: &mut Command| {
        if let Some(folder) = &control_plane {
            cargo.args(["--features", CONTROL_PLANE]).env(ASSETS, folder);
        }
    };
    let mut outcomes = Vec::new();
    if shell::has("cargo-nextest") {
        // It prints its own count.
        let mut nextest = shell::cargo();
        common(nextest.args(["nextest", "run"]));
        outcomes.push(shell::run(&mut nextest));
        let mut examples = shell::cargo();
        common(examples.args(["test", "--doc"]));
        outcomes.push(counted(&mut examples, start));
        // It runs each test in a process of its own, but these share one control plane.
        if control_plane.is_some() {
            let mut operator = shell::cargo();
            real(operator.arg("test"));
            common(operator.args(["--test", "control_plane"]));
            outcomes.push(counted(&mut operator, start));
        }
    } else {
        let mut all = shell::cargo();
        real(all.arg("test"));
        common(&mut all);
        outcomes.push(counted(&mut all, start));
    }
    outcomes.into_iter().collect()
}

/// Installs what is missing; the result is the folder of the control plane.
fn set_up(with_control_plane: bool) -> Result<Option<PathBuf>> {
    let programs = with_control_plane.then(ControlPlanePrograms::find).transpose()?;
    let notice = programs.as_ref().and_then(ControlPlanePrograms::notice);
    let go = notice.is_some().then_some(&GO);
    prerequisites::provide(&[&REDIS].into_iter().chain(go).collect::<Vec<_>>(), notice)?;
    programs.map(ControlPlanePrograms::build).transpose()
}

/// Whether the caller says which packages, so that "all of them" must not be said as well.
fn chooses_packages(forwarded: &[String]) -> bool {
    let ours = forwarded.iter().take_while(|word| *word != "--");
    ours.into_iter().any(|word| {
        word.starts_with("-p") || word.starts_with("--package") || word == "--workspace"
    })
}

/// Whether the operator's tests are among those asked for.
fn wants_control_plane(forwarded: &[String]) -> bool {
    let mut ours = forwarded.iter().take_while(|word| *word != "--").peekable();
    let (mut all, mut named) = (!chooses_packages(forwarded), false);
    while let Some(word) = ours.next() {
        let (flag, value) =
            word.split_once('=').unwrap_or((word, ours.peek().map_or("", |next| next)));
        match flag {
            "--workspace" => all = true,
            "--exclude" if value == OPERATOR => return false,
            "-p" | "--package" if value == OPERATOR => named = true,
            _ => {}
        }
    }
    all || named
}

/// Runs `cargo test`, passes on what it prints, and adds up its results.
fn counted(command: &mut Command, start: Instant) -> Result<()> {
    let line = shell::announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{line}` could not be started"))?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        let mut out = std::io::stdout().lock();
        for text in BufReader::new(output).split(b'\n') {
            let text = text?;
            out.write_all(&text)?;
            out.write_all(b"\n")?;
            counts.add(&String::from_utf8_lossy(&text));
        }
    }
    let status = child.wait()?;
    println!("\n{counts} in {} s", start.elapsed().as_secs());
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    if counts.suites == 0 {
        bail!("`{line}` reported no result at all");
    }
    Ok(())
}

/// The sum of `test result:` lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    suites: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in
    /// 0.01s`; other lines are not for us.
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let Some((_, result)) = result.split_once(". ") else { return };
        self.suites += 1;
        for part in result.split("; ") {
            let Some((count, what)) = part.split_once(' ') else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { suites, passed, failed, ignored } = self;
        write!(f, "tests: {passed} passed, {failed} failed, {ignored} ignored ({suites} suites)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_suites_add_up() {
        let mut counts = Counts::default();
        for line in [
            "running 13 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test ids::tests::an_id ... ok",
            "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { suites: 2, passed: 14, failed: 5, ignored: 1 });
        assert_eq!(counts.to_string(), "tests: 14 passed, 5 failed, 1 ignored (2 suites)");
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_named() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(chooses_packages(&words("-p bookingq-core")));
        assert!(chooses_packages(&words("--package=bookingq-core --lib")));
        assert!(!chooses_packages(&words("--lib -- -p")));
    }

    #[test]
    fn a_control_plane_is_wanted_only_where_the_operator_is_tested() {
        let wanted = |line: &str| {
            wants_control_plane(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        for line in
            ["", "--lib", "--workspace", "-p bookingq-core -p bookingq-operator", "-- late -p x"]
        {
            assert!(wanted(line), "{line}");
        }
        for line in
            ["-p bookingq-core", "--package=bookingq", "--workspace --exclude bookingq-operator"]
        {
            assert!(!wanted(line), "{line}");
        }
    }
}
