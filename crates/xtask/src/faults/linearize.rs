//! Checks a recorded history with an independent checker: Porcupine, with the models in
//! `tests/linearizable`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::prerequisites::GO;
use crate::{shell, tree};

/// The module with the models.
const MODULE: &str = "tests/linearizable";

/// Fails when the history is not linearizable.
pub fn run(history: &Path) -> Result<()> {
    GO.require()?;
    let history =
        history.canonicalize().with_context(|| format!("cannot read {}", history.display()))?;
    let program = tree::root().join("target/linearizable");
    let mut build = Command::new("go");
    build.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".");
    shell::run(build.current_dir(tree::root().join(MODULE)))?;
    shell::run(Command::new(program).arg(history))
}
