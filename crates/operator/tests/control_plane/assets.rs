//! Where etcd, kube-apiserver and kube-controller-manager come from: the environment, a cache, or a build of our own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs, and the Go module and package each is built from.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
];

const HELP: &str = "The control-plane tests need etcd, kube-apiserver and kube-controller-manager. Either set \
KUBEBUILDER_ASSETS to a folder that has them, or install Go 1.25 or newer (https://go.dev/dl/): they are built once then, \
which takes about 5 minutes. See tests/control-plane/README.md.";

/// The folder that has them all.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) {
        let missing: Vec<&str> = missing(&folder).collect();
        assert!(missing.is_empty(), "KUBEBUILDER_ASSETS ({}) has no {missing:?}.\n{HELP}", folder.display());
        return folder;
    }
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/control-plane");
    let version = version(&modules.join("kubernetes/go.mod"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    let folder = cache.join("bookingq/control-plane").join(&version);
    build(&modules, &folder, &version);
    folder
}

fn missing(folder: &Path) -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(program, ..)| *program).filter(move |program| !folder.join(program).is_file())
}

/// The version of Kubernetes that the module pins.
fn version(module: &Path) -> String {
    let text = std::fs::read_to_string(module).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("k8s.io/kubernetes v")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Builds what is missing. Two test processes may do so at once: each program appears whole or not at all.
fn build(modules: &Path, folder: &Path, version: &str) {
    for (program, module, package) in PROGRAMS {
        if folder.join(program).is_file() {
            continue;
        }
        eprintln!(
            "building {program} {version} into {}; this is done once and takes minutes",
            folder.display()
        );
        std::fs::create_dir_all(folder).unwrap();
        let unfinished = folder.join(format!("{program}.{}", std::process::id()));
        let minor = version.split('.').nth(1).unwrap_or_default();
        let stamp = "k8s.io/component-base/version";
        let flags = format!(
            "-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor={minor}"
        );
        let built = Command::new("go")
            .args(["build", "-buildvcs=false", "-ldflags", &flags, "-o"])
            .arg(&unfinished)
            .arg(package)
            .env("CGO_ENABLED", "0")
            .current_dir(modules.join(module))
            .status();
        assert!(built.as_ref().is_ok_and(std::process::ExitStatus::success), "{program}: {built:?}\n{HELP}");
        std::fs::rename(unfinished, folder.join(program)).unwrap();
    }
}
