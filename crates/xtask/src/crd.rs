//! `cargo xtask crd`: the CustomResourceDefinition, in crds/ and in the chart, is what `bookingq
//! crd` prints.

use anyhow::Result;

use crate::generated::Args;
use crate::shell;

/// The chart has its own: what is packaged must lie inside its folder.
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
