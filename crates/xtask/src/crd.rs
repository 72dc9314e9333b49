//! `cargo xtask crd`: generates the CustomResourceDefinition in crds/ and in the chart.

use anyhow::Result;

use crate::generated::Args;
use crate::shell;

/// The chart needs a copy: a package holds only files of its own folder.
const FILES: [&str; 2] = ["crds/bookingqueue.yaml", "charts/bookingq/files/bookingqueue.yaml"];

/// Writes or checks it.
pub fn run(args: &Args) -> Result<()> {
    let print = ["run", "--quiet", "--locked", "--package", "bookingq", "--", "crd"];
    let wanted = shell::read(shell::cargo().args(print))?;
    for file in FILES {
        args.settle(file, &wanted, "cargo xtask crd")?;
    }
    Ok(())
}
