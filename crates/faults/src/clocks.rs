//! Wrong clocks of processes: libfaketime, if it is installed, reads the offset of each process
//! from a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The paths of the distributions.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// The clocks of some processes.
#[derive(Debug)]
pub struct Clocks {
    library: &'static str,
    files: Vec<PathBuf>,
}

impl Clocks {
    /// The clocks of so many processes with this name, without offsets. `None` if libfaketime is
    /// not installed.
    pub fn find(folder: &Path, name: &str, processes: usize) -> Result<Option<Self>> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).is_file()) else {
            return Ok(None);
        };
        let files: Vec<_> =
            (0..processes).map(|number| folder.join(format!("clock-{name}{number}"))).collect();
        for file in &files {
            std::fs::write(file, "+0s")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Some(Self { library, files }))
    }

    /// Sets the offset of a process's clock, in seconds.
    pub fn set(&self, number: usize, seconds: i64) {
        if let Some(file) = self.files.get(number) {
            // A failure means one fault less.
            let _ = std::fs::write(file, format!("{seconds:+}s"));
        }
    }

    /// The environment of a process. Only its wall clock is wrong; the monotonic clock stays right.
    pub fn environment(&self, number: usize) -> Vec<(&'static str, OsString)> {
        let Some(file) = self.files.get(number) else { return Vec::new() };
        vec![
            ("LD_PRELOAD", self.library.into()),
            ("FAKETIME_TIMESTAMP_FILE", file.into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            // Java would take minutes to start.
            ("FAKETIME_DISABLE_SHM", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}
