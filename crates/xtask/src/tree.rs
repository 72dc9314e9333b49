//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What is not ours to judge: build output, and what version control and the system keep.
const SKIPPED: [&str; 3] = ["target", ".git", ".DS_Store"];

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A program of ours, as `cargo build --release` leaves it.
pub fn released(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("release").join(name)
}

/// Every file and folder, relative to the top, in order.
pub struct Tree {
    /// Relative paths with `/`.
    pub files: Vec<String>,
    /// Relative paths with `/`, without one at the end.
    pub folders: Vec<String>,
}

impl Tree {
    /// Reads the names.
    pub fn read() -> Result<Self> {
        let mut tree = Self { files: Vec::new(), folders: Vec::new() };
        tree.walk(&root(), "")?;
        tree.files.sort();
        tree.folders.sort();
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"))?;
                self.folders.push(path);
            } else {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// The files whose names end so.
    pub fn ending<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.files
            .iter()
            .map(String::as_str)
            .filter(|file| endings.iter().any(|ending| file.ends_with(ending)))
    }

    /// Whether it names a file or folder, from the top.
    pub fn contains(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let found = |paths: &[String]| paths.binary_search_by(|one| one.as_str().cmp(path)).is_ok();
        found(&self.files) || found(&self.folders)
    }

    /// Whether some file's path ends with these whole components.
    pub fn has_ending(&self, tail: &str) -> bool {
        self.files.iter().any(|file| {
            file.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('/'))
        })
    }
}

/// The text of one file, named from the top.
pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}
