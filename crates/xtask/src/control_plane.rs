//! Finds etcd, kube-apiserver and kube-controller-manager for the operator's tests: in the
//! environment, in a cache, or by building them from the Go modules that tests/control-plane pins.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result};

use crate::prerequisites::{self, GO};
use crate::{shell, tree};

/// What the tests read, and what kubebuilder's own tools set.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

const MODULES: &str = "tests/control-plane";
const HELP: &str = "the operator's tests need etcd, kube-apiserver and kube-controller-manager; instead of building them, \
                    set KUBEBUILDER_ASSETS to a folder that has all three. See tests/control-plane/README.md";

/// A program and its Go package.
pub struct Program {
    name: &'static str,
    /// Folder of its Go module below `tests/control-plane`.
    pub module: &'static str,
    /// Its package.
    pub package: &'static str,
}

/// A control plane without nodes.
pub const PROGRAMS: [Program; 3] = [
    Program { name: "etcd", module: "etcd", package: "go.etcd.io/etcd/server/v3" },
    Program {
        name: "kube-apiserver",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
    },
    Program {
        name: "kube-controller-manager",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
    },
];

/// The folder of the programs, and those that it lacks.
pub struct ControlPlanePrograms {
    folder: PathBuf,
    version: String,
    missing: Vec<&'static str>,
}

/// Finds the programs, and builds those that are missing.
pub fn folder() -> Result<PathBuf> {
    let programs = ControlPlanePrograms::find()?;
    if let Some(notice) = programs.notice() {
        prerequisites::provide(&[&GO], [notice])?;
    }
    programs.build()
}

impl ControlPlanePrograms {
    /// In the folder that the environment names, if that has all of them; otherwise in the cache.
    pub fn find() -> Result<Self> {
        let version = version()?;
        if let Some(folder) = env::var_os(ASSETS).map(PathBuf::from) {
            let missing = missing(&folder);
            if missing.is_empty() {
                return Ok(Self { folder, version, missing });
            }
            let (folder, missing) = (folder.display(), missing.join(", "));
            eprintln!("{ASSETS} ({folder}) has no {missing}: the cache is used instead");
        }
        let folder = cache()?.join("bookingq/control-plane").join(&version);
        Ok(Self { missing: missing(&folder), folder, version })
    }

    /// What [`Self::build`] will build, if anything.
    pub fn notice(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| {
            format!(
                "{} is missing: the operator's tests run against it; built now from Kubernetes {} into {}, once, in \
                 about 5 minutes on 2 cores",
                self.missing.join(", "),
                self.version,
                self.folder.display()
            )
        })
    }

    /// Builds what is missing and returns the folder.
    pub fn build(self) -> Result<PathBuf> {
        let Self { folder, version, missing } = self;
        if !missing.is_empty() {
            GO.require()?;
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        for program in PROGRAMS.iter().filter(|program| missing.contains(&program.name)) {
            build(program, &folder, &version).context(HELP)?;
        }
        Ok(folder)
    }
}

fn missing(folder: &Path) -> Vec<&'static str> {
    let names = PROGRAMS.iter().map(|program| program.name);
    names.filter(|name| !folder.join(name).is_file()).collect()
}

/// The user's cache directory.
pub fn cache() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).filter(|path: &OsString| Path::new(path).is_absolute());
    let own = absolute("XDG_CACHE_HOME").map(PathBuf::from);
    own.or_else(|| absolute("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME names a folder for what the tests need")
}

/// The version of Kubernetes that the module pins.
pub fn version() -> Result<String> {
    let file = format!("{MODULES}/kubernetes/go.mod");
    let module = tree::read(&file)?;
    let pin = module.lines().find_map(|line| line.trim_start().strip_prefix("k8s.io/kubernetes "));
    let version = pin.and_then(|line| line.split_whitespace().next());
    Ok(version.with_context(|| format!("{file} pins no k8s.io/kubernetes"))?.to_owned())
}

/// Safe to run twice at once: each program appears whole or not at all.
fn build(program: &Program, folder: &Path, version: &str) -> Result<()> {
    let unfinished = folder.join(format!("{}.{}", program.name, process::id()));
    // An API server without it calls itself v0.0.0.
    let stamp = "k8s.io/component-base/version";
    let minor = version.split('.').nth(1).unwrap_or_default();
    let flags = format!(
        "-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor={minor}"
    );
    let mut go = Command::new("go");
    go.args(["build", "-buildvcs=false", "-ldflags", &flags, "-o"])
        .arg(&unfinished)
        .arg(program.package);
    go.env("CGO_ENABLED", "0").current_dir(tree::root().join(MODULES).join(program.module));
    shell::run(&mut go)?;
    let finished = folder.join(program.name);
    fs::rename(&unfinished, &finished)
        .with_context(|| format!("cannot write {}", finished.display()))
}
