//! `cargo xtask crd`: generates the CustomResourceDefinitions in crds/ and in the chart.

use anyhow::{Result, ensure};

use crate::generated::Args;
use crate::shell;

/// The definitions, in the order in which `bookingq crd` prints them.
const NAMES: [&str; 2] = ["bookingqueue", "bookingqueuebackup"];
/// The chart needs a copy: a package holds only files of its own folder.
const FOLDERS: [&str; 2] = ["crds", "charts/bookingq/files"];

/// Writes or checks them.
pub fn run(args: &Args) -> Result<()> {
    let print = ["run", "--quiet", "--locked", "--package", "bookingq", "--", "crd"];
    let all = shell::read(shell::cargo().args(print))?;
    let documents: Vec<&str> = all.split("---\n").collect();
    ensure!(documents.len() == NAMES.len(), "`bookingq crd` printed {} documents", documents.len());
    for (name, wanted) in NAMES.iter().zip(documents) {
        for folder in FOLDERS {
            args.settle(&format!("{folder}/{name}.yaml"), wanted, "cargo xtask crd")?;
        }
    }
    Ok(())
}
