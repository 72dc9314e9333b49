//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Build output, downloaded packages, version control and files of the system.
const SKIPPED: [&str; 4] = ["target", "node_modules", ".git", ".DS_Store"];

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A program of ours, built with `--release`.
pub fn released(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("release").join(name)
}

/// Every file and folder below a folder, in order.
pub struct Tree {
    root: PathBuf,
    /// Relative paths with `/`.
    pub files: Vec<String>,
    /// Relative paths with `/`, without one at the end.
    pub folders: Vec<String>,
}

impl Tree {
    /// The files below `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { root: root.to_owned(), files: Vec::new(), folders: Vec::new() };
        tree.walk(root, "")?;
        tree.files.sort();
        tree.folders.sort();
        Ok(tree)
    }

    /// The text of one file.
    pub fn text(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.root.join(file)).with_context(|| format!("cannot read {file}"))
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

    /// The files with one of these endings.
    pub fn ending(&self, endings: &[&str]) -> impl Iterator<Item = &str> {
        let ends = |file: &&str| endings.iter().any(|ending| file.ends_with(ending));
        self.files.iter().map(String::as_str).filter(ends)
    }

    /// Whether it is the path of a file or folder.
    pub fn contains(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let found = |paths: &[String]| paths.binary_search_by(|one| one.as_str().cmp(path)).is_ok();
        found(&self.files) || found(&self.folders)
    }

    /// Whether a file's path ends with these whole components.
    pub fn has_ending(&self, tail: &str) -> bool {
        self.files.iter().any(|file| {
            file.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('/'))
        })
    }
}

/// The text of a file of the repository.
pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}
