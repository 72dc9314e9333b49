//! The length and digest of the data, while it is written and when it is read again.

use ring::digest::{Context, SHA256};

use super::description::BackupDescription;
use super::error::BackupError;
use super::files::PartFile;
use super::location::BackupLocation;

/// Counts and hashes what passes through.
pub(super) struct DataDigest {
    context: Context,
    bytes: u64,
}

impl DataDigest {
    pub(super) fn new() -> Self {
        Self { context: Context::new(&SHA256), bytes: 0 }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The length, and the digest in hexadecimal digits.
    pub(super) fn finish(self) -> (u64, String) {
        let digest = self.context.finish();
        let hex =
            digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        (self.bytes, hex)
    }
}

/// Reads the data and compares it with its description; copies it to a file on the way.
pub(super) async fn read_through(
    rdb: &BackupLocation,
    description: &BackupDescription,
    mut copy: Option<&mut PartFile>,
) -> Result<(), BackupError> {
    let (mut reader, mut digest) = (rdb.reader().await?, DataDigest::new());
    while let Some(piece) = reader.next().await? {
        digest.add(piece);
        if let Some(copy) = &mut copy {
            copy.write(piece).await?;
        }
    }
    let damaged = |what: String| Err(BackupError::Damaged { location: rdb.to_string(), what });
    let (bytes, sha256) = digest.finish();
    if bytes != description.bytes {
        return damaged(format!("it has {bytes} bytes, and had {}", description.bytes));
    }
    if sha256 != description.sha256 {
        return damaged(format!("its SHA-256 is {sha256}, and was {}", description.sha256));
    }
    Ok(())
}
