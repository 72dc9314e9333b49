//! Builds the drivers of the peers into target/peers, with the clients that everybody has: go, npm,
//! cargo.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use super::system::System;

/// Where the programs are.
pub struct Drivers {
    built: PathBuf,
}

const SOURCES: &str = "tests/peers";

impl Drivers {
    /// Builds those that are needed, and says so first.
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

    /// The program of a system's driver, and its arguments before the flags.
    pub fn command(&self, system: System) -> Result<(PathBuf, Vec<PathBuf>)> {
        Ok(match system {
            System::Asynq => (self.built.join("asynq"), vec![]),
            System::BullMq => ("node".into(), vec![self.built.join("bullmq/driver.js")]),
            System::Apalis07 | System::Apalis10 => {
                (self.built.join("apalis/release/bookingq-peer-apalis"), vec![])
            }
            System::Ours => (env::current_exe()?, vec!["drive".into()]),
        })
    }

    fn asynq(&self) -> Result<()> {
        needs("go", "Go 1.25 or newer (https://go.dev/dl/)", "asynq")?;
        let mut go = Command::new("go");
        go.args(["build", "-buildvcs=false", "-o"]).arg(self.built.join("asynq")).arg(".");
        go.env("CGO_ENABLED", "0").current_dir(root().join(SOURCES).join("asynq"));
        announced(&mut go)
    }

    /// npm wants to install beside its package.json, so that is copied out of the sources.
    fn bullmq(&self) -> Result<()> {
        needs("node", "Node.js 20 or newer (https://nodejs.org/)", "BullMQ")?;
        needs("npm", "npm, which comes with Node.js", "BullMQ")?;
        let (from, to) = (root().join(SOURCES).join("bullmq"), self.built.join("bullmq"));
        fs::create_dir_all(&to)?;
        let lock = "package-lock.json";
        // What npm leaves behind when it has finished.
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
        announced(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&to))
    }

    fn apalis(&self) -> Result<()> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--locked", "--target-dir"]);
        cargo.arg(self.built.join("apalis")).current_dir(root().join(SOURCES).join("apalis"));
        announced(&mut cargo)
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

fn needs(program: &str, what: &str, peer: &str) -> Result<()> {
    let found = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        bail!(
            "there is no `{program}` on the PATH, and the driver of {peer} needs it: install {what}, or name the systems to \
             compare with --only"
        );
    }
    Ok(())
}

/// Runs it with our own output, and says so first.
fn announced(command: &mut Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    eprintln!("$ {line}");
    let status = command.stdin(Stdio::null()).status();
    match status.with_context(|| format!("`{line}` could not be started"))? {
        status if status.success() => Ok(()),
        status => bail!("`{line}` failed ({status})"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_peer_is_pinned() {
        let versions = versions(&System::ALL).unwrap();
        for system in System::ALL.into_iter().filter(|&system| system != System::Ours) {
            let version = versions[system.name()].as_str().unwrap();
            assert_eq!(version.split('.').count(), 3, "{version}");
        }
        assert!(versions["apalis-redis 1.0"].as_str().unwrap().starts_with("1."));
    }

    #[test]
    fn what_is_missing_is_named_with_a_way_out() {
        let error = needs("no-such-program", "it", "asynq").unwrap_err().to_string();
        assert!(error.contains("`no-such-program`") && error.contains("--only"), "{error}");
    }
}
