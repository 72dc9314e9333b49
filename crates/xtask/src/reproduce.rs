//! `cargo xtask reproduce`: builds the committed sources twice, in two folders, with two target
//! folders and two names of CARGO_HOME, and compares the binaries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::check_out::check_out;
use crate::{shell, tree};

/// Where both builds are: names of different lengths, because a path that ends up in the binary
/// moves what follows it.
const FOLDERS: [&str; 2] = ["target/reproduce/a", "target/reproduce/another-folder/b"];

/// How to build.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask reproduce                   what the image holds: two full builds
  cargo xtask reproduce --profile dev     quicker, and without the optimizer

Both folders are deleted first, and kept when the binaries differ.")]
pub struct Args {
    /// The profile of Cargo
    #[arg(long, default_value = "image")]
    profile: String,
    /// Build without the network: all crates must have been downloaded
    #[arg(long)]
    offline: bool,
}

/// Builds twice and compares.
pub fn run(args: &Args) -> Result<()> {
    let mut head = Command::new("git");
    let epoch = shell::read(head.current_dir(tree::root()).args(["log", "-1", "--format=%ct"]))?;
    let build_in = |folder: &str| {
        let top = tree::root().join(folder);
        prepare(&top)?;
        build(args, &top, epoch.trim())
    };
    let (first, second) = (build_in(FOLDERS[0])?, build_in(FOLDERS[1])?);
    let mut sums = Command::new("sha256sum");
    shell::run(sums.args([&first, &second]))?;
    if fs::read(&first)? != fs::read(&second)? {
        bail!("{} and {} differ", first.display(), second.display());
    }
    println!("reproduce: both builds made the same binary");
    fs::remove_dir_all(tree::root().join("target/reproduce")).context("cannot clean up")
}

/// The sources of HEAD, and a CARGO_HOME of its own that leads to the downloaded crates.
fn prepare(top: &Path) -> Result<()> {
    if top.exists() {
        fs::remove_dir_all(top).with_context(|| format!("cannot delete {}", top.display()))?;
    }
    check_out("HEAD", &top.join("src"))?;
    symlink(cargo_home()?, top.join("cargo")).context("cannot link to CARGO_HOME")
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("CARGO_HOME") {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}

/// Builds with every path replaced that the compilers would write down; the result is the binary.
fn build(args: &Args, top: &Path, epoch: &str) -> Result<PathBuf> {
    let (sources, home, target) = (top.join("src"), top.join("cargo"), top.join("target"));
    let paths = [(&sources, "/src"), (&home, "/cargo"), (&target, "/target")];
    let remapped = |flag: &str| {
        let flags = paths.map(|(path, name)| format!("{flag}={}={name}", path.display()));
        flags.join(" ")
    };
    let mut cargo = shell::cargo();
    cargo.current_dir(&sources).args(["build", "--locked", "--package", "bookingq"]);
    cargo.args(["--features", "kafka"]);
    cargo.args(["--profile", &args.profile]).args(args.offline.then_some("--offline"));
    cargo.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", &target);
    cargo.env("SOURCE_DATE_EPOCH", epoch).env("CARGO_INCREMENTAL", "0");
    cargo.env("RUSTFLAGS", remapped("--remap-path-prefix"));
    cargo.env("CFLAGS", remapped("-ffile-prefix-map"));
    shell::run(&mut cargo)?;
    let folder = if args.profile == "dev" { "debug" } else { &args.profile };
    Ok(target.join(folder).join("bookingq"))
}
