//! The files of a commit, in a folder of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{shell, tree};

/// Checks the files of a commit out into a folder, in place of what it had.
pub fn check_out(commit: &str, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = folder.with_extension("tar");
    let mut git = Command::new("git");
    git.current_dir(tree::root()).args(["archive", "--output"]).arg(&archive).arg(commit);
    shell::run(&mut git)?;
    shell::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder))?;
    fs::remove_file(&archive).with_context(|| format!("cannot delete {}", archive.display()))
}
