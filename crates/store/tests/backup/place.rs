//! Where backups go in a test: a folder, or a prefix of a bucket whose server keeps it in a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bookingq_harness::S3Server;
use bookingq_harness::s3::{ACCESS_KEY, SECRET_KEY};
use bookingq_store::backup::BackupLocation;
use bookingq_store::s3::{S3Credentials, S3Settings};
use tempfile::TempDir;

/// The bucket of all tests.
pub const BUCKET: &str = "sale";
/// Every character that has a meaning in a URL, in a query, in XML or in a signature.
const PREFIX: &str = "the sale's/v1.2 a+b & <c>%20=ü~*,;:@$#?!(\"x\")";

/// A folder of backups.
pub struct Place {
    /// All of it.
    pub all: BackupLocation,
    /// Where its files are on this machine.
    folder: PathBuf,
    kept: Kept,
}

/// Removed with a place.
enum Kept {
    Folder(#[allow(dead_code, reason = "it is removed when dropped")] TempDir),
    Server(Arc<S3Server>),
}

impl Place {
    /// A folder of this machine.
    pub fn folder() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().to_owned();
        Self { all: folder.clone().into(), folder, kept: Kept::Folder(kept) }
    }

    /// A prefix of a bucket; `None` without the program of the server.
    pub async fn bucket() -> Option<Self> {
        let server = server(None)?;
        let all = located(&format!("s3://{BUCKET}/{PREFIX}/"), &settings(&server.url())).await;
        let folder = server.file(BUCKET, PREFIX);
        // A bucket has no folders; the test writes files of its own there.
        std::fs::create_dir_all(&folder).unwrap();
        Some(Self { all, folder, kept: Kept::Server(server) })
    }

    /// One of each kind.
    pub async fn both() -> Vec<Self> {
        [Some(Self::folder()), Self::bucket().await].into_iter().flatten().collect()
    }

    /// The file with this name, as bookingq names it.
    pub async fn at(&self, name: &str) -> BackupLocation {
        match &self.kept {
            Kept::Folder(_) => self.file(name).into(),
            Kept::Server(server) => {
                located(&format!("s3://{BUCKET}/{PREFIX}/{name}"), &settings(&server.url())).await
            }
        }
    }

    /// The same on this machine.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All files, in order.
    pub fn names(&self) -> Vec<String> {
        names(&self.folder)
    }

    /// Uploads that were begun and are neither finished nor aborted.
    pub fn unfinished(&self) -> usize {
        match &self.kept {
            Kept::Folder(_) => 0,
            Kept::Server(server) => server.uploads(BUCKET).unwrap().len(),
        }
    }
}

/// A server with the bucket; `None`, and a line that says so, without its program.
pub fn server(tls: Option<(&Path, &Path)>) -> Option<Arc<S3Server>> {
    S3Server::start_or_skip(&[BUCKET], tls).unwrap().map(Arc::new)
}

/// How to reach it.
pub fn settings(url: &str) -> S3Settings {
    let credentials = S3Credentials {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        session_token: None,
    };
    let (endpoint, region) = (Some(url.to_owned()), "us-east-1".to_owned());
    S3Settings { endpoint, region, credentials, ca: None, silence: Duration::from_secs(20) }
}

/// What has this name.
pub async fn located(name: &str, settings: &S3Settings) -> BackupLocation {
    BackupLocation::open(Path::new(name), || Ok(settings.clone())).await.unwrap()
}

/// The names in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
