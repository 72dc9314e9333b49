//! A server of S3 (versitygw) on a free port, with its own folder. It checks signatures, and ends
//! with this process.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::command;
use crate::error::HarnessError;
use crate::port::free_address;
use crate::process::Process;
use crate::spec::ProcessSpec;

/// The program; `cargo xtask setup` installs it.
const PROGRAM: &str = "versitygw";
/// The name of the key that it knows.
pub const ACCESS_KEY: &str = "access";
/// The key.
pub const SECRET_KEY: &str = "the secret of a test";
/// Longest wait for it to accept connections.
const START: Duration = Duration::from_secs(15);
/// Another process may take a port between our choice and the start.
const ATTEMPTS: u32 = 5;

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    /// It listens with TLS.
    has_tls: bool,
    folder: TempDir,
    _process: Process,
}

impl S3Server {
    /// One with these buckets; without the program, a line that says so and `None`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_or_skip(
        buckets: &[&str],
        tls: Option<(&Path, &Path)>,
    ) -> Result<Option<Self>, HarnessError> {
        if command::find(Path::new(PROGRAM)).is_err() {
            eprintln!("SKIPPED in a bucket: versitygw is missing; `cargo xtask setup` installs it");
            return Ok(None);
        }
        Self::start(buckets, tls).map(Some)
    }

    /// Starts one with these buckets, and waits until it accepts connections. `tls` names a
    /// certificate and its key.
    fn start(buckets: &[&str], tls: Option<(&Path, &Path)>) -> Result<Self, HarnessError> {
        let folder = tempfile::tempdir()?;
        for bucket in buckets {
            fs::create_dir_all(folder.path().join("objects").join(bucket))?;
        }
        fs::create_dir(folder.path().join("attributes"))?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let address = free_address()?;
            let process = Process::start(spec(address, folder.path(), tls))?;
            match process.wait_ready(START) {
                Ok(()) => {
                    let has_tls = tls.is_some();
                    return Ok(Self { address, has_tls, folder, _process: process });
                }
                Err(HarnessError::Ended { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The file of an object, or the folder of a bucket.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.path().join("objects").join(bucket).join(key)
    }

    /// The folders of the uploads to a bucket that are not finished. Each has a file for a part.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub fn uploads(&self, bucket: &str) -> io::Result<Vec<PathBuf>> {
        let all = self.file(bucket, ".sgwtmp/multipart");
        if !all.is_dir() {
            return Ok(Vec::new());
        }
        let mut uploads = Vec::new();
        for key in fs::read_dir(all)? {
            for upload in fs::read_dir(key?.path())? {
                uploads.push(upload?.path());
            }
        }
        Ok(uploads)
    }
}

fn spec(address: SocketAddr, folder: &Path, tls: Option<(&Path, &Path)>) -> ProcessSpec {
    let mut spec = ProcessSpec::new(PROGRAM, PROGRAM).arguments(["--quiet", "--keep-alive"]);
    spec = spec.arguments(["--port".to_owned(), address.to_string()]);
    if let Some((certificate, key)) = tls {
        spec = spec.arguments(["--cert".as_ref(), certificate.as_os_str()]);
        spec = spec.arguments(["--key".as_ref(), key.as_os_str()]);
    }
    // Not every file system of a test has extended attributes.
    spec = spec.arguments(["posix", "--sidecar"]).arguments([folder.join("attributes")]);
    spec = spec.arguments([folder.join("objects")]);
    spec.environment.push(("ROOT_ACCESS_KEY", ACCESS_KEY.into()));
    spec.environment.push(("ROOT_SECRET_KEY", SECRET_KEY.into()));
    spec.log = Some(folder.join("versitygw.log"));
    spec.port = Some(address);
    spec
}
