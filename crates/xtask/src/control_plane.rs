//! Finds etcd, kube-apiserver and kube-controller-manager for the operator's tests: in the
//! environment, in a cache, or by building them from the Go modules that tests/control-plane pins.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{shell, tree};

/// What the tests read, and what kubebuilder's own tools set.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

const MODULES: &str = "tests/control-plane";
const HELP: &str = "the operator's tests need etcd, kube-apiserver and kube-controller-manager. Install Go 1.25 or newer \
                    (https://go.dev/dl/), and they are built from source, once, in about 5 minutes; or set \
                    KUBEBUILDER_ASSETS to a folder that has all three. See tests/control-plane/README.md";

/// One program, and what it is built from.
struct Program {
    name: &'static str,
    /// Folder of its Go module below [`MODULES`].
    module: &'static str,
    package: &'static str,
}

const PROGRAMS: [Program; 3] = [
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

/// The folder that has them all; what is missing is built first, and it says so.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os(ASSETS).map(PathBuf::from) {
        let missing = missing(&folder);
        if missing.is_empty() {
            return Ok(folder);
        }
        eprintln!(
            "{ASSETS} ({}) has no {}: looking elsewhere.",
            folder.display(),
            missing.join(", ")
        );
    }
    let version = version(&tree::read(&format!("{MODULES}/kubernetes/go.mod"))?)?;
    let folder = cache()?.join("bookingq/control-plane").join(&version);
    let missing = missing(&folder);
    if !missing.is_empty() {
        build_all(&folder, &version, &missing)?;
    }
    Ok(folder)
}

fn missing(folder: &Path) -> Vec<&'static str> {
    PROGRAMS
        .iter()
        .map(|program| program.name)
        .filter(|name| !folder.join(name).is_file())
        .collect()
}

/// Where programs that can be built again belong.
fn cache() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).filter(|path: &OsString| Path::new(path).is_absolute());
    let own = absolute("XDG_CACHE_HOME").map(PathBuf::from);
    own.or_else(|| absolute("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME names a folder to build the control plane into")
}

/// The version of Kubernetes that the module pins.
fn version(module: &str) -> Result<String> {
    let line = module.lines().find_map(|line| line.trim_start().strip_prefix("k8s.io/kubernetes "));
    let version = line.and_then(|line| line.split_whitespace().next());
    Ok(version
        .with_context(|| format!("{MODULES}/kubernetes/go.mod pins no k8s.io/kubernetes"))?
        .to_owned())
}

fn build_all(folder: &Path, version: &str, missing: &[&str]) -> Result<()> {
    if !shell::has("go") {
        bail!("{HELP}");
    }
    eprintln!(
        "The operator's tests need a control plane. {} of Kubernetes {version} is built now, into {}, once. It takes about 5 \
         minutes on 2 cores; every later run finds it there.",
        missing.join(", "),
        folder.display()
    );
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let start = Instant::now();
    for program in PROGRAMS.iter().filter(|program| missing.contains(&program.name)) {
        build(program, folder, version).context(HELP)?;
    }
    eprintln!("The control plane is built, {} s.", start.elapsed().as_secs());
    Ok(())
}

/// Two of us may do this at once: each program appears whole or not at all.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_modules_pin_a_version_and_have_every_program() {
        let module = tree::read(&format!("{MODULES}/kubernetes/go.mod")).unwrap();
        let version = version(&module).unwrap();
        assert!(version.starts_with("v1.") && version.split('.').count() == 3, "{version}");
        for program in &PROGRAMS {
            let file = format!("{MODULES}/{}/go.mod", program.module);
            let root = program.package.split("/cmd/").next().unwrap();
            assert!(tree::read(&file).unwrap().contains(root), "{file} does not have {root}");
        }
    }

    #[test]
    fn a_folder_without_all_programs_is_not_enough() {
        let missing = missing(Path::new("/nonexistent"));
        assert_eq!(missing, ["etcd", "kube-apiserver", "kube-controller-manager"]);
    }
}
