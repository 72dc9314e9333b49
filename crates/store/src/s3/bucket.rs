//! The objects of a bucket.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{Error, ObjectStore as _, ObjectStoreExt as _};

use super::client::{S3Client, retry};
use super::error::{S3Error, S3Fault};
use super::settings::{S3Settings, S3SettingsError};

/// A bucket. A clone uses the same connections.
#[derive(Clone)]
pub struct S3Bucket {
    name: String,
    endpoint: String,
    silence: Duration,
    pub(super) store: AmazonS3,
}

impl S3Bucket {
    /// Calls nothing yet.
    ///
    /// # Errors
    /// [`S3SettingsError`].
    pub async fn new(name: &str, settings: &S3Settings) -> Result<Self, S3SettingsError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !((3..=63).contains(&name.len()) && name.bytes().all(fits)) {
            return Err(S3SettingsError::Bucket(name.to_owned()));
        }
        settings.check_headers()?;
        let url = settings.endpoint_url()?;
        let endpoint = url.as_str().trim_end_matches('/').to_owned();
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_bucket_name(name)
            .with_region(&settings.region)
            .with_access_key_id(&settings.credentials.access_key)
            .with_secret_access_key(&settings.credentials.secret_key)
            // Not every server has a call for several objects.
            .with_disable_bulk_delete(true)
            .with_retry(retry(settings.silence))
            .with_http_connector(S3Client::new(settings, &url).await?);
        if let Some(token) = &settings.credentials.session_token {
            builder = builder.with_token(token);
        }
        let store = builder.build().map_err(|error| S3SettingsError::Client(error.to_string()))?;
        Ok(Self { name: name.to_owned(), endpoint, silence: settings.silence, store })
    }

    /// Whether a key, or a prefix, is one that the library does not change.
    pub(crate) fn is_key(text: &str) -> bool {
        Path::parse(text).is_ok_and(|path| path.as_ref() == text)
    }

    /// `s3://BUCKET/KEY`.
    pub(crate) fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// The last parts of the keys that begin with this prefix and a slash, and have no slash behind
    /// it. Without a prefix, the keys without a slash.
    pub(crate) async fn names(&self, prefix: &str) -> Result<Vec<String>, S3Error> {
        let path = self.path("list", prefix)?;
        let found = self.store.list_with_delimiter(Some(&path)).await;
        let found = found.map_err(|error| self.failed("list", prefix, &error))?;
        // Some programs write an object for a folder, whose key is the prefix and the slash.
        let below = found.objects.iter().filter(|object| object.location != path);
        Ok(below.filter_map(|object| object.location.filename()).map(str::to_owned).collect())
    }

    /// The length of an object; `None` if there is none. It is asked for by a list: that answers
    /// with a code where the bucket is missing or the key is wrong, which HEAD does not.
    pub(crate) async fn length(&self, key: &str) -> Result<Option<u64>, S3Error> {
        let one = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        let found = self.store.list_paginated(Some(key), one).await;
        let found = found.map_err(|error| self.failed("look for", key, &error))?;
        let mut objects = found.result.objects.into_iter();
        Ok(objects.find(|object| object.location.as_ref() == key).map(|object| object.size))
    }

    /// All of a short object.
    pub(crate) async fn read(&self, key: &str) -> Result<Bytes, S3Error> {
        let path = self.path("read", key)?;
        let read = async { self.store.get(&path).await?.bytes().await };
        read.await.map_err(|error| self.failed("read", key, &error))
    }

    /// Writes a short object, which is there whole or not at all.
    pub(crate) async fn write(&self, key: &str, body: Vec<u8>) -> Result<(), S3Error> {
        let path = self.path("write", key)?;
        let written = self.store.put(&path, body.into()).await;
        written.map_err(|error| self.failed("write", key, &error))?;
        Ok(())
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, key: &str) -> Result<(), S3Error> {
        let path = self.path("remove", key)?;
        match self.store.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", key, &error)),
        }
    }

    /// The key as it is, without another encoding.
    pub(super) fn path(&self, action: &'static str, key: &str) -> Result<Path, S3Error> {
        let path = Path::parse(key);
        path.map_err(|error| self.failed(action, key, &Error::from(error)))
    }

    /// Says what failed, and where.
    pub(super) fn failed(&self, action: &'static str, key: &str, error: &Error) -> S3Error {
        let object = format!("{} at {}", self.url(key), self.endpoint);
        S3Error { action, object, fault: S3Fault::of(error, self.silence) }
    }
}

impl PartialEq for S3Bucket {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.endpoint == other.endpoint
    }
}

impl Eq for S3Bucket {}

impl fmt::Debug for S3Bucket {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, endpoint, .. } = self;
        f.debug_struct("S3Bucket").field("name", name).field("endpoint", endpoint).finish()
    }
}
