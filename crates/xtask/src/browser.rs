//! `cargo xtask browser`: tests the waiting-room page in Chromium, against a running gateway.

use std::process::Command;

use anyhow::Result;

use crate::prerequisites::{self, CHROMIUM, NODE, REDIS};
use crate::{shell, tree};

/// A package of its own for Node.
const FOLDER: &str = "tests/browser";

/// What to test.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask browser                    everything; screenshots are in target/browser/
  cargo xtask browser journey            only journey.test.mjs
  cargo xtask browser --languages en,ar  every state in these languages only
  cargo xtask browser --write            make crates/gateway/page/built/ after a change of the page")]
pub struct Args {
    /// Only these files of tests/browser: admin, journey, protocol, states, stream
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
    /// Languages in which every state is shown [default: all]
    #[arg(long, value_name = "LANGUAGE,…")]
    languages: Option<String>,
    /// Write what the gateway puts into the page, instead of testing
    #[arg(long)]
    write: bool,
}

/// Installs what is missing, and tests.
pub fn run(args: &Args) -> Result<()> {
    let tools: &[_] = if args.write { &[&NODE] } else { &[&NODE, &CHROMIUM, &REDIS] };
    prerequisites::provide(tools, None)?;
    let folder = tree::root().join(FOLDER);
    let languages = args.languages.iter().map(|languages| ("LANGUAGES", languages));
    let run = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        shell::run(command.args(words).current_dir(&folder).envs(languages.clone()))
    };
    run("npm", &["ci", "--ignore-scripts", "--no-progress"])?;
    if args.write {
        return run("npm", &["run", "build"]);
    }
    run("npm", &["run", "check"])?;
    shell::run(shell::cargo().args(["build", "--locked", "--bin", "bookingq"]))?;
    let files: Vec<_> = args.tests.iter().map(|test| format!("{test}.test.mjs")).collect();
    let mut words = vec!["--test"];
    words.extend(files.iter().map(String::as_str));
    run("node", &words)
}
