//! The keys of a running gateway: read again when their folder changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use bookingq_identity::{KeyError, KeyPurpose, KeyRing};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::config::KeySource;

/// Time between two looks at the folder. The kubelet itself updates it within a minute.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// The keys in use.
#[derive(Debug)]
pub struct KeyStore {
    ring: Arc<ArcSwap<KeyRing>>,
    /// Ends the task that follows the folder.
    _stop: DropGuard,
}

/// Why a gateway has no keys to serve with.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The folder or a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A kind of key that every gateway needs is missing.
    #[error(
        "the key folder has no key of purpose {0} that can sign; allowed: at least one \
         (`bookingq keys new --purpose {0}` makes it)"
    )]
    Missing(KeyPurpose),
}

impl KeyStore {
    /// Reads the keys, and again when the files have changed, within seconds. While new files
    /// cannot be used, the previous keys stay in use.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn start(source: KeySource) -> Result<Self, KeyStoreError> {
        let stop = CancellationToken::new();
        // Before the keys are read, so that a change in between is noticed.
        let seen = match &source {
            KeySource::Folder(folder) => contents(folder),
            KeySource::Ephemeral | KeySource::Ring(_) => FolderContents::new(),
        };
        let ring = match &source {
            KeySource::Ephemeral => {
                warn!("the keys are made in memory: all places are lost when this process ends");
                KeyRing::ephemeral()?
            }
            KeySource::Folder(folder) => load(folder)?,
            KeySource::Ring(ring) => ring.clone(),
        };
        let ring = Arc::new(ArcSwap::from_pointee(ring));
        if let KeySource::Folder(folder) = source {
            let ring = Arc::clone(&ring);
            tokio::spawn(
                stop.clone()
                    .run_until_cancelled_owned(async move { follow(&folder, &ring, seen).await }),
            );
        }
        Ok(Self { ring, _stop: stop.drop_guard() })
    }

    /// The keys now.
    pub fn ring(&self) -> Guard<Arc<KeyRing>> {
        self.ring.load()
    }
}

fn load(folder: &Path) -> Result<KeyRing, KeyStoreError> {
    let ring = KeyRing::load(folder)?;
    for purpose in [KeyPurpose::Place, KeyPurpose::Pass] {
        if !ring.can_sign(purpose) {
            return Err(KeyStoreError::Missing(purpose));
        }
    }
    Ok(ring)
}

async fn follow(folder: &Path, ring: &ArcSwap<KeyRing>, mut seen: FolderContents) {
    loop {
        sleep(RELOAD_EVERY).await;
        let now = contents(folder);
        if now == seen {
            continue;
        }
        match load(folder) {
            Ok(renewed) => {
                ring.store(Arc::new(renewed));
                info!(folder = %folder.display(), "read the renewed keys");
            }
            Err(error) => warn!(%error, "cannot use the renewed keys"),
        }
        seen = now;
    }
}

/// Name and content of each file.
type FolderContents = BTreeMap<std::ffi::OsString, Option<Vec<u8>>>;

/// Reads a folder, also behind the symbolic links of a mounted Secret.
fn contents(folder: &Path) -> FolderContents {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).ok())).collect()
}
