//! The objects of a bucket.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;

use super::address::BucketAddress;
use super::answers::{self, ListedObject, ObjectPage, UploadPage};
use super::call::{S3Call, S3Caller};
use super::error::{S3Error, S3Fault};
use super::settings::{S3Settings, S3SettingsError};
use crate::tls_client;

/// A bucket. A clone uses the same connections.
#[derive(Clone)]
pub struct S3Bucket {
    name: Arc<str>,
    pub(super) caller: Arc<S3Caller>,
}

impl S3Bucket {
    /// Calls nothing yet.
    ///
    /// # Errors
    /// [`S3SettingsError`].
    pub async fn new(name: &str, settings: &S3Settings) -> Result<Self, S3SettingsError> {
        let address = BucketAddress::new(name, settings)?;
        let tls = tls_client::client_config(settings.ca.as_ref(), None).await;
        let tls = tls.map_err(S3SettingsError::Authorities)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let client =
            Client::builder(TokioExecutor::new()).build(https.enable_http1().wrap_connector(http));
        let S3Settings { region, credentials, silence, .. } = settings.clone();
        let caller = S3Caller { address, region, credentials, silence, client };
        Ok(Self { name: name.into(), caller: Arc::new(caller) })
    }

    /// `s3://BUCKET/KEY`.
    pub(crate) fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// The keys that begin with this prefix and have no slash behind it.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, S3Error> {
        let mut keys = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![("list-type", "2"), ("delimiter", "/"), ("prefix", prefix)];
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let page = self.page::<ObjectPage>("list", prefix, &query).await?;
            keys.extend(page.contents.into_iter().map(|found| found.key));
            token = page.next_continuation_token.filter(|_| page.is_truncated);
            if token.is_none() {
                return Ok(keys);
            }
        }
    }

    /// The length of an object; `None` if there is none. It is asked for by a list: that answers
    /// with a code where the bucket is missing or the key is wrong, which HEAD does not.
    pub(crate) async fn length(&self, key: &str) -> Result<Option<u64>, S3Error> {
        let query = [("list-type", "2"), ("max-keys", "1"), ("prefix", key)];
        let page = self.page::<ObjectPage>("look for", key, &query).await?;
        let found = page.contents.into_iter().find(|found| found.key == key);
        Ok(found.map(|ListedObject { size, .. }| size))
    }

    /// All of a short object.
    pub(crate) async fn read(&self, key: &str) -> Result<Bytes, S3Error> {
        let answer = self.caller.ask(&S3Call::new(Method::GET, key, &[])).await;
        Ok(answer.map_err(self.failed("read", key))?.into_body())
    }

    /// Writes a short object, which is there whole or not at all.
    pub(crate) async fn write(&self, key: &str, body: Bytes) -> Result<(), S3Error> {
        let call = S3Call { body, ..S3Call::new(Method::PUT, key, &[]) };
        self.caller.ask(&call).await.map_err(self.failed("write", key))?;
        Ok(())
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, key: &str) -> Result<(), S3Error> {
        match self.caller.ask(&S3Call::new(Method::DELETE, key, &[])).await {
            Ok(_) => Ok(()),
            // Some servers say so.
            Err(S3Fault::Refused { code, .. }) if code == "NoSuchKey" => Ok(()),
            Err(fault) => Err(self.failed("remove", key)(fault)),
        }
    }

    /// Aborts the uploads to keys with this prefix that began before `end`. Returns how many.
    pub(crate) async fn abort_uploads(
        &self,
        prefix: &str,
        end: Timestamp,
    ) -> Result<usize, S3Error> {
        let mut aborted = 0;
        let (mut key, mut id) = (String::new(), String::new());
        loop {
            let query = [
                ("uploads", ""),
                ("prefix", prefix),
                ("key-marker", key.as_str()),
                ("upload-id-marker", id.as_str()),
            ];
            let shown =
                query.into_iter().filter(|(name, value)| *name == "uploads" || !value.is_empty());
            let query: Vec<_> = shown.collect();
            let page =
                self.page::<UploadPage>("list the unfinished uploads of", prefix, &query).await?;
            for upload in page.uploads.iter().filter(|upload| upload.initiated < end) {
                self.abort(&upload.key, &upload.upload_id).await?;
                aborted += 1;
            }
            if !page.is_truncated || page.next_key_marker.is_empty() {
                return Ok(aborted);
            }
            (key, id) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    /// Removes what an upload has sent.
    pub(super) async fn abort(&self, key: &str, id: &str) -> Result<(), S3Error> {
        let query = [("uploadId", id)];
        match self.caller.ask(&S3Call::new(Method::DELETE, key, &query)).await {
            Ok(_) => Ok(()),
            // Another process, or an earlier try.
            Err(S3Fault::Refused { code, .. }) if code == "NoSuchUpload" => Ok(()),
            Err(fault) => Err(self.failed("abort the upload of", key)(fault)),
        }
    }

    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        action: &'static str,
        prefix: &str,
        query: &[(&str, &str)],
    ) -> Result<T, S3Error> {
        let answer = self.caller.ask(&S3Call::new(Method::GET, "", query)).await;
        let page = answer.and_then(|answer| answers::read(answer.body()));
        page.map_err(self.failed(action, prefix))
    }

    /// Says what failed, and where.
    pub(super) fn failed(
        &self,
        action: &'static str,
        key: &str,
    ) -> impl FnOnce(S3Fault) -> S3Error {
        let object = format!("{} at {}", self.url(key), self.caller.address.endpoint);
        move |fault| S3Error { action, object, fault }
    }
}

impl PartialEq for S3Bucket {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.caller.address == other.caller.address
    }
}

impl Eq for S3Bucket {}

impl fmt::Debug for S3Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = &self.caller.address.endpoint;
        f.debug_struct("S3Bucket").field("name", &self.name).field("endpoint", endpoint).finish()
    }
}
