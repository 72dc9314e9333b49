//! Wrong clocks of workers and of Redis servers: libfaketime reads the offset of each from a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The paths of the distributions.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// The clocks of the workers.
#[derive(Debug)]
pub struct Clocks {
    library: &'static str,
    files: Vec<PathBuf>,
}

impl Clocks {
    /// The clocks of so many workers, without offsets. `None` if libfaketime is not installed.
    pub fn find(folder: &Path, workers: usize) -> Result<Option<Self>> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).is_file()) else {
            return Ok(None);
        };
        let files: Vec<_> =
            (0..workers).map(|number| folder.join(format!("clock-{number}"))).collect();
        for file in &files {
            std::fs::write(file, "+0s")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Some(Self { library, files }))
    }

    /// Sets the offset of a worker's clock, in seconds.
    pub fn set(&self, number: usize, seconds: i64) {
        if let Some(file) = self.files.get(number) {
            // A failure means one fault less.
            let _ = std::fs::write(file, format!("{seconds:+}s"));
        }
    }

    /// The environment of a worker. Only its wall clock is wrong; the monotonic clock stays right.
    pub fn environment(&self, number: usize) -> Vec<(&'static str, OsString)> {
        let Some(file) = self.files.get(number) else { return Vec::new() };
        vec![
            ("LD_PRELOAD", self.library.into()),
            ("FAKETIME_TIMESTAMP_FILE", file.into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
        ]
    }
}

/// What redis-server is started with: libfaketime, and the C library before the allocator that
/// redis-server is linked with, which asks for the time before libfaketime can answer.
fn preload(library: &str) -> String {
    format!("{library} libc.so.6")
}

/// Longest wait for `redis-server --version`.
const VERSION_SECONDS: &str = "5";

/// The clocks of the Redis servers, by the servers' names.
#[derive(Debug)]
pub struct RedisClocks {
    library: &'static str,
    folder: PathBuf,
}

impl RedisClocks {
    /// How soon a server reads its offset again, at the latest.
    pub const LAG: Duration = Duration::from_secs(3);

    /// Without offsets.
    ///
    /// # Errors
    /// When libfaketime is not installed, or the installed redis-server does not run with it.
    pub fn find(folder: &Path) -> Result<Self> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).is_file()) else {
            bail!("libfaketime is missing; install it: apt-get install -y faketime");
        };
        let mut version = Command::new("timeout");
        version
            .args([VERSION_SECONDS, "redis-server", "--version"])
            .env("LD_PRELOAD", preload(library));
        version.stdout(Stdio::null()).stderr(Stdio::null());
        if !version.status().is_ok_and(|status| status.success()) {
            bail!(
                "this redis-server does not run with libfaketime; allowed: one whose allocator is \
                 a shared library, such as Debian's (apt-get install -y redis-server)"
            );
        }
        Ok(Self { library, folder: folder.to_owned() })
    }

    /// The words that start a program with the clock of this server. Its monotonic clock stays
    /// right.
    ///
    /// # Errors
    /// When the file of its offset cannot be written.
    pub fn wrapper(&self, server: &str) -> std::io::Result<Vec<OsString>> {
        let file = self.file(server);
        std::fs::write(&file, "+0s")?;
        let words = [
            format!("LD_PRELOAD={}", preload(self.library)),
            format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "FAKETIME_CACHE_DURATION=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ];
        Ok(std::iter::once("env".into()).chain(words.map(OsString::from)).collect())
    }

    /// Sets the offset of a server's clock, in seconds.
    pub fn set(&self, server: &str, seconds: i64) {
        // Replaced as a whole: a server may be reading it. A failure means one fault less.
        let new = self.folder.join(format!("clock-{server}.new"));
        let _ = std::fs::write(&new, format!("{seconds:+}s"));
        let _ = std::fs::rename(new, self.file(server));
    }

    fn file(&self, server: &str) -> PathBuf {
        self.folder.join(format!("clock-{server}"))
    }
}
