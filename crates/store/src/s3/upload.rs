//! An object that is sent in parts, and is there once all of them have come.

use object_store::{Error, ObjectStoreExt as _, WriteMultipart};

use super::PART;
use super::bucket::S3Bucket;
use super::error::S3Error;

/// An upload. Who drops it without [`Self::finish`] or [`Self::discard`] leaves its parts behind.
pub(crate) struct S3Upload {
    bucket: S3Bucket,
    key: String,
    parts: WriteMultipart,
    bytes: usize,
}

impl S3Upload {
    pub(crate) async fn begin(bucket: &S3Bucket, key: &str) -> Result<Self, S3Error> {
        let path = bucket.path("write", key)?;
        let upload = bucket.store.put_multipart(&path).await;
        let upload = upload.map_err(|error| bucket.failed("write", key, &error))?;
        let parts = WriteMultipart::new_with_chunk_size(upload, PART);
        Ok(Self { bucket: bucket.clone(), key: key.to_owned(), parts, bytes: 0 })
    }

    /// Adds a piece of at most one part. One part is filled while the one before it is sent, so the
    /// memory is that of two parts, and who fills them waits for a slow server.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<(), S3Error> {
        if self.bytes % PART + piece.len() >= PART {
            let sent = self.parts.wait_for_capacity(1).await;
            sent.map_err(|error| self.bucket.failed("write", &self.key, &error))?;
        }
        self.bytes += piece.len();
        self.parts.write(piece);
        Ok(())
    }

    /// Makes the object of all that was written. Removes what was sent when that fails.
    pub(crate) async fn finish(self) -> Result<(), S3Error> {
        let Self { bucket, key, parts, bytes } = self;
        let Err(error) = parts.finish().await else { return Ok(()) };
        // S3 does not know the upload any more: the answer to an earlier try may have been lost.
        if matches!(error, Error::NotFound { .. })
            && let Ok(Some(found)) = bucket.length(&key).await
            && found == bytes as u64
        {
            return Ok(());
        }
        Err(bucket.failed("write", &key, &error))
    }

    /// Removes what was sent.
    pub(crate) async fn discard(self) {
        if let Err(error) = self.parts.abort().await {
            tracing::warn!("{}", self.bucket.failed("abort the upload of", &self.key, &error));
        }
    }
}
