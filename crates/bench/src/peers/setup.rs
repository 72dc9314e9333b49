//! Builds the drivers of the peers into target/peers, with go, npm and cargo.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use bookingq_harness::command::find;
use serde_json::{Map, Value};

use super::system::System;

/// The folder of the programs.
pub struct Drivers {
    built: PathBuf,
}

const SOURCES: &str = "tests/peers";

impl Drivers {
    /// Builds those that are needed.
    pub fn set_up(systems: &[System]) -> Result<Self> {
        let drivers = Self { built: root().join("target/peers") };
        fs::create_dir_all(&drivers.built)
            .with_context(|| format!("cannot make {}", drivers.built.display()))?;
        let wanted = |any: &[System]| systems.iter().any(|system| any.contains(system));
        if wanted(&[System::Asynq]) {
            drivers.asynq()?;
        }
        if wanted(&[System::BullMq]) {
            drivers.bullmq()?;
        }
        if wanted(&[System::Apalis07, System::Apalis10]) {
            drivers.apalis()?;
        }
        Ok(drivers)
    }

    /// The program of a system's driver, with its arguments before the flags.
    pub fn command(&self, system: System) -> Result<Vec<OsString>> {
        Ok(match system {
            System::Asynq => vec![self.built.join("asynq").into()],
            System::BullMq => vec!["node".into(), self.built.join("bullmq/driver.js").into()],
            System::Apalis07 | System::Apalis10 => {
                vec![self.built.join("apalis/release/bookingq-peer-apalis").into()]
            }
            System::Ours => vec![env::current_exe()?.into(), "drive".into()],
        })
    }

    fn asynq(&self) -> Result<()> {
        require("go", "Go 1.25 or newer (https://go.dev/dl/)", "asynq")?;
        let mut go = Command::new("go");
        go.args(["build", "-buildvcs=false", "-o"]).arg(self.built.join("asynq")).arg(".");
        go.env("CGO_ENABLED", "0").current_dir(root().join(SOURCES).join("asynq"));
        run(&mut go)
    }

    /// npm installs beside package.json, so that is copied out of the sources.
    fn bullmq(&self) -> Result<()> {
        require("node", "Node.js 20 or newer (https://nodejs.org/)", "BullMQ")?;
        require("npm", "npm, which comes with Node.js", "BullMQ")?;
        let (from, to) = (root().join(SOURCES).join("bullmq"), self.built.join("bullmq"));
        fs::create_dir_all(&to)?;
        let lock = "package-lock.json";
        // npm writes it when it has finished.
        let installed = to.join("node_modules/.package-lock.json").is_file();
        let fresh =
            installed && fs::read(from.join(lock))? == fs::read(to.join(lock)).unwrap_or_default();
        for file in ["package.json", lock, "driver.js"] {
            fs::copy(from.join(file), to.join(file))
                .with_context(|| format!("cannot copy {file}"))?;
        }
        if fresh {
            return Ok(());
        }
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&to))
    }

    fn apalis(&self) -> Result<()> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--locked", "--target-dir"]);
        cargo.arg(self.built.join("apalis")).current_dir(root().join(SOURCES).join("apalis"));
        run(&mut cargo)
    }
}

/// The versions in use, as the files that pin them say.
pub fn versions(systems: &[System]) -> Result<Map<String, Value>> {
    let mut versions = Map::new();
    for &system in systems {
        let (file, key) = match system {
            System::Asynq => ("asynq/go.mod", "github.com/hibiken/asynq v"),
            System::BullMq => ("bullmq/package.json", "\"bullmq\": \""),
            System::Apalis07 => ("apalis/Cargo.toml", "package = \"apalis-redis\", version = \"=0"),
            System::Apalis10 => ("apalis/Cargo.toml", "package = \"apalis-redis\", version = \"=1"),
            System::Ours => continue,
        };
        let path = root().join(SOURCES).join(file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let version =
            pinned(&text, key).with_context(|| format!("{file} pins no {}", system.name()))?;
        versions.insert(system.name().to_owned(), version.into());
    }
    for (name, program, argument) in [("Go", "go", "version"), ("Node.js", "node", "--version")] {
        if let Ok(said) = Command::new(program).arg(argument).stderr(Stdio::null()).output() {
            let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
            versions.insert(name.to_owned(), said.trim_start_matches("go version ").into());
        }
    }
    Ok(versions)
}

/// The number after `key`, where the key may end with the number's beginning.
fn pinned(text: &str, key: &str) -> Option<String> {
    let digit = |c: char| c.is_ascii_digit() || c == '.';
    let begin = key.trim_end_matches(digit).len();
    let rest = &text[text.find(key)? + begin..];
    let version: String = rest.chars().take_while(|&c| digit(c)).collect();
    (!version.is_empty()).then_some(version)
}

/// The top of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Fails with what to install, if the program is missing.
pub fn require(program: &str, what: &str, peer: &str) -> Result<()> {
    let help = || {
        format!("the driver of {peer} needs {what}: install it, or choose the systems with --only")
    };
    find(Path::new(program)).map(drop).with_context(help)
}

/// Prints the command and runs it.
fn run(command: &mut Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    eprintln!("$ {line}");
    let status = command.stdin(Stdio::null()).status();
    match status.with_context(|| format!("`{line}` could not be started"))? {
        status if status.success() => Ok(()),
        status => bail!("`{line}` failed ({status})"),
    }
}
