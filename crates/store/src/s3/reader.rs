//! An object that is read part by part. Each part is a call, which is repeated by itself: one call
//! for all of a large object would have used up its tries, and its time, long before the end.

use std::ops::Range;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};

use super::PART;
use super::bucket::S3Bucket;
use super::error::S3Error;

/// An object that is read.
pub(crate) struct S3Reader {
    bucket: S3Bucket,
    key: String,
    /// All parts are of this object, also when another one takes its name.
    etag: Option<String>,
    rest: Range<u64>,
}

impl S3Reader {
    pub(crate) async fn open(bucket: &S3Bucket, key: &str) -> Result<Self, S3Error> {
        let path = bucket.path("read", key)?;
        let found = bucket.store.head(&path).await;
        let found = found.map_err(|error| bucket.failed("read", key, &error))?;
        let (bucket, key) = (bucket.clone(), key.to_owned());
        Ok(Self { bucket, key, etag: found.e_tag, rest: 0..found.size })
    }

    /// The next part; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let path = self.bucket.path("read", &self.key)?;
        let end = self.rest.end.min(self.rest.start + PART as u64);
        let range = Some(GetRange::Bounded(self.rest.start..end));
        let options = GetOptions { range, if_match: self.etag.clone(), ..GetOptions::default() };
        let read = async { self.bucket.store.get_opts(&path, options).await?.bytes().await };
        let part = read.await.map_err(|error| self.bucket.failed("read", &self.key, &error))?;
        self.rest.start = end;
        Ok(Some(part))
    }
}
