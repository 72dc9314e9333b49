//! `cargo xtask foreign`: tests a running gateway with clients and proxies that others have
//! written.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::prerequisites::{self, NODE, PYTHON, REDIS};
use crate::{shell, tree};

/// The clients: Python programs, and one for Node.
const FOLDER: &str = "tests/foreign";
/// The packages of Python.
const PACKAGES: &str = "target/foreign";

/// What to test.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask foreign                    everything, in about 40 s
  cargo xtask foreign Sockets Proxies    only these classes of tests/foreign/gateway_test.py")]
pub struct Args {
    /// Only these classes of tests: Sockets, Proxies, Document, Unread, Faults
    #[arg(value_name = "CLASS")]
    classes: Vec<String>,
}

/// Installs what is missing, and tests. Where packages cannot be had, it says that it has tested
/// nothing; in CI that is a failure.
pub fn run(args: &Args) -> Result<()> {
    prerequisites::provide(&[&PYTHON, &NODE, &REDIS], None)?;
    let (folder, packages) = (tree::root().join(FOLDER), tree::root().join(PACKAGES));
    if let Err(error) = install(&folder, &packages) {
        if std::env::var_os("CI").is_some() {
            return Err(error);
        }
        eprintln!("SKIPPED, nothing was tested: {error:#}");
        return Ok(());
    }
    shell::run(shell::cargo().args(["build", "--locked", "--bin", "bookingq"]))?;
    for proxy in ["nginx", "haproxy"] {
        if !shell::has(proxy) {
            eprintln!("{proxy} is missing, its test is SKIPPED; apt-get install -y {proxy}");
        }
    }
    let mut tests = Command::new(packages.join("bin/python"));
    tests.arg("gateway_test.py").args(&args.classes).current_dir(folder);
    if let Err(error) = shell::run(&mut tests) {
        bail!("{error}; the logs of the processes are in the temporary folder that it names");
    }
    Ok(())
}

fn install(folder: &Path, packages: &Path) -> Result<()> {
    let python = packages.join("bin/python");
    // A folder that failed half-way has no pip.
    if !packages.join("bin/pip").exists() {
        shell::run(Command::new("python3").args(["-m", "venv"]).arg(packages))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "-r", "requirements.txt"];
    shell::run(Command::new(python).args(pip).current_dir(folder))?;
    let npm = ["ci", "--ignore-scripts", "--no-progress"];
    shell::run(Command::new("npm").args(npm).current_dir(folder))
}
