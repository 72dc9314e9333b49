//! Wrong clocks of workers: libfaketime, if it is installed, reads the offset of each worker from
//! a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The paths of the distributions.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// The clocks of all workers.
#[derive(Debug)]
pub struct Clocks {
    library: &'static str,
    files: Vec<PathBuf>,
}

impl Clocks {
    /// Without offsets. `None` if libfaketime is not installed.
    pub fn find(folder: &Path, workers: usize) -> Result<Option<Self>> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).is_file()) else {
            return Ok(None);
        };
        let files: Vec<_> =
            (0..workers).map(|worker| folder.join(format!("clock-{worker}"))).collect();
        for file in &files {
            std::fs::write(file, "+0s")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Some(Self { library, files }))
    }

    /// Sets the offset of a worker's clock, in seconds.
    pub fn set(&self, worker: usize, seconds: i64) {
        if let Some(file) = self.files.get(worker) {
            // A failure means one fault less.
            let _ = std::fs::write(file, format!("{seconds:+}s"));
        }
    }

    /// The environment of a worker. Only its wall clock is wrong; the monotonic clock stays right.
    pub fn environment(&self, worker: usize) -> Vec<(&'static str, OsString)> {
        let Some(file) = self.files.get(worker) else { return Vec::new() };
        vec![
            ("LD_PRELOAD", self.library.into()),
            ("FAKETIME_TIMESTAMP_FILE", file.into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
        ]
    }
}
