//! A kept history before a judge that we did not write: Porcupine, by way of the models in
//! `tests/linearizable`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{shell, tree};

/// The module with the models.
const MODULE: &str = "tests/linearizable";

/// Fails when the history is not linearizable.
pub fn run(history: &Path) -> Result<()> {
    if !shell::has("go") {
        bail!("--linearize needs Go 1.25 or newer (https://go.dev/dl/) on the PATH");
    }
    let history =
        history.canonicalize().with_context(|| format!("cannot read {}", history.display()))?;
    let program = tree::root().join("target/linearizable");
    let mut build = Command::new("go");
    build.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".");
    shell::run(build.current_dir(tree::root().join(MODULE)))?;
    shell::run(Command::new(program).arg(history))
}
