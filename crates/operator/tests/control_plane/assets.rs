//! Where etcd, kube-apiserver and kube-controller-manager are: `cargo xtask test` finds or builds them, and says where.

use std::path::PathBuf;

const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];

const HELP: &str = "Run `cargo xtask test -p bookingq-operator`, which finds or builds them, or set KUBEBUILDER_ASSETS to a \
folder that has etcd, kube-apiserver and kube-controller-manager. See tests/control-plane/README.md.";

/// The folder that has them all.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| panic!("KUBEBUILDER_ASSETS is not set. {HELP}"));
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !folder.join(program).is_file()).collect();
    assert!(missing.is_empty(), "KUBEBUILDER_ASSETS ({}) has no {missing:?}. {HELP}", folder.display());
    folder
}
