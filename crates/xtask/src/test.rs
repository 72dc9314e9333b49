//! `cargo xtask test`: installs what is missing, runs the tests, and counts them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::control_plane::{ASSETS, ControlPlanePrograms};
use crate::prerequisites::{self, GO, REDIS};
use crate::{kafka, shell};

const OPERATOR: &str = "bookingq-operator";

/// The packages that have tests on a control plane, which the feature `control-plane` turns on, and
/// the names of these tests.
const ON_CONTROL_PLANE: [(&str, &str); 2] =
    [(OPERATOR, "control_plane"), ("bookingq-plugin", "plugin_on_cluster")];

/// The features that turn the tests on Kafka on.
const KAFKA: &str = "bookingq-store/kafka";
const OPERATOR_ON_KAFKA: &str = "bookingq-operator/kafka";

/// How to run the tests.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                          everything
  cargo xtask test -p bookingq-store        one crate
  cargo xtask test -- late_payment          tests whose names contain this
  cargo xtask test --kafka -p bookingq-store --test kafka    the store on real Kafka brokers

The operator's tests run against a real API server: see tests/control-plane/README.md.")]
pub struct Args {
    /// Also the tests that start Kafka brokers, with the feature `kafka`: these install Java, Maven
    /// and Kafka's jars, and compile librdkafka
    #[arg(long)]
    kafka: bool,
    /// Passed on to `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    forwarded: Vec<String>,
}

/// Runs all tests; one run shows every failure.
pub fn run(args: &Args) -> Result<()> {
    let wanting = want_control_plane(&args.forwarded);
    let control_plane = set_up(!wanting.is_empty())?;
    let features = wanting.iter().map(|(package, _)| format!("{package}/control-plane"));
    let features = features.collect::<Vec<_>>().join(",");
    let jars = args.kafka.then(kafka::folder).transpose()?;
    let start = Instant::now();
    // clap takes a leading `--` as its own.
    let dashes = std::env::args().nth(2).filter(|word| word == "--");
    let narrowed = dashes.is_none() && chooses_packages(&args.forwarded);
    let scope = (!narrowed).then_some("--workspace");
    let command = |words: &[&str], with_control_plane: bool| {
        let mut cargo = shell::cargo();
        cargo.args(words).args(["--locked", "--no-fail-fast"]).args(scope);
        if let Some(folder) = control_plane.as_ref().filter(|_| with_control_plane) {
            cargo.args(["--features", &features]).env(ASSETS, folder);
            if jars.is_some() && wanting.iter().any(|(package, _)| *package == OPERATOR) {
                cargo.args(["--features", OPERATOR_ON_KAFKA]);
            }
        }
        if let Some(folder) = &jars {
            cargo.args(["--features", KAFKA]).env(kafka::JARS, folder);
        }
        cargo.args(&dashes).args(&args.forwarded);
        cargo
    };
    if !shell::has("cargo-nextest") {
        return counted(&mut command(&["test"], true), start);
    }
    // nextest prints its own totals, and leaves out the doc examples. It runs each test in its own
    // process, but the tests of the control plane share one.
    let mut outcomes = vec![
        shell::run(&mut command(&["nextest", "run"], false)),
        counted(&mut command(&["test", "--doc"], false), start),
    ];
    if control_plane.is_some() {
        let tests = wanting.iter().flat_map(|(_, test)| ["--test", test]);
        let words: Vec<_> = ["test"].into_iter().chain(tests).collect();
        outcomes.push(counted(&mut command(&words, true), start));
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

/// Whether the caller chooses packages, so that `--workspace` is not added.
pub fn chooses_packages(forwarded: &[String]) -> bool {
    let ours = forwarded.iter().take_while(|word| *word != "--");
    ours.into_iter().any(|word| {
        word.starts_with("-p") || word.starts_with("--package") || word == "--workspace"
    })
}

/// The packages among the chosen ones that have tests on a control plane, with the names of these.
pub fn want_control_plane(forwarded: &[String]) -> Vec<(&'static str, &'static str)> {
    ON_CONTROL_PLANE.into_iter().filter(|(package, _)| is_chosen(forwarded, package)).collect()
}

/// Whether the tests of `package` are among the chosen ones.
fn is_chosen(forwarded: &[String], package: &str) -> bool {
    let mut ours = forwarded.iter().take_while(|word| *word != "--").peekable();
    let (mut all, mut named) = (!chooses_packages(forwarded), false);
    while let Some(word) = ours.next() {
        let (flag, value) =
            word.split_once('=').unwrap_or((word, ours.peek().map_or("", |next| next)));
        match flag {
            "--workspace" => all = true,
            "--exclude" if value == package => return false,
            "-p" | "--package" if value == package => named = true,
            _ => {}
        }
    }
    all || named
}

/// Runs `cargo test`, copies its output, and adds up its results.
fn counted(command: &mut Command, start: Instant) -> Result<()> {
    let line = shell::announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{line}` could not be started"))?;
    let mut counts = TestCounts::default();
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
pub struct TestCounts {
    /// Test programs.
    pub suites: u64,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that did not run.
    pub ignored: u64,
}

impl TestCounts {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in
    /// 0.01s`; other lines are ignored.
    pub fn add(&mut self, line: &str) {
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

impl std::fmt::Display for TestCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { suites, passed, failed, ignored } = self;
        write!(f, "tests: {passed} passed, {failed} failed, {ignored} ignored ({suites} suites)")
    }
}
