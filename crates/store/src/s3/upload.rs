//! An object that is sent in parts, and is there once all of them have come.
//!
//! One part is filled while the one before it is sent, so the memory is that of two parts, and who
//! fills them waits for a slow server.

use std::fmt::Write as _;

use bytes::Bytes;
use http::Method;
use http::header::ETAG;
use tokio::task::JoinSet;

use super::answers::{self, BegunUpload};
use super::bucket::S3Bucket;
use super::call::S3Call;
use super::error::{S3Error, S3Fault};

/// Bytes of each part but the last.
const PART: usize = 16 << 20;
/// Parts that S3 takes.
const PARTS: usize = 10_000;

/// An upload. Who drops it without [`Self::finish`] or [`Self::discard`] leaves its parts behind.
pub(crate) struct S3Upload {
    bucket: S3Bucket,
    key: String,
    id: String,
    filled: Vec<u8>,
    /// The part that is on its way, if any. Its task ends when this is dropped.
    sending: JoinSet<Result<String, S3Fault>>,
    /// The ETags of the parts that have come, in order.
    parts: Vec<String>,
    bytes: u64,
}

impl S3Upload {
    pub(crate) async fn begin(bucket: &S3Bucket, key: &str) -> Result<Self, S3Error> {
        let answer = bucket.caller.ask(&S3Call::new(Method::POST, key, &[("uploads", "")])).await;
        let begun = answer.and_then(|answer| answers::read(answer.body()));
        let BegunUpload { upload_id } = begun.map_err(bucket.failed("write", key))?;
        Ok(Self {
            bucket: bucket.clone(),
            key: key.to_owned(),
            id: upload_id,
            filled: Vec::with_capacity(PART),
            sending: JoinSet::new(),
            parts: Vec::new(),
            bytes: 0,
        })
    }

    pub(crate) async fn write(&mut self, mut piece: &[u8]) -> Result<(), S3Error> {
        while !piece.is_empty() {
            let (taken, rest) = piece.split_at(piece.len().min(PART - self.filled.len()));
            self.filled.extend_from_slice(taken);
            self.bytes += taken.len() as u64;
            piece = rest;
            if self.filled.len() == PART {
                self.send(Vec::with_capacity(PART)).await?;
            }
        }
        Ok(())
    }

    /// Makes the object of all that was written.
    pub(crate) async fn finish(&mut self) -> Result<(), S3Error> {
        if !self.filled.is_empty() {
            self.send(Vec::new()).await?;
        }
        self.sent().await?;
        let mut body = "<CompleteMultipartUpload>".to_owned();
        for (index, etag) in self.parts.iter().enumerate() {
            let (number, etag) = (index + 1, quick_xml::escape::escape(etag.as_str()));
            write!(body, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>").ok();
        }
        body.push_str("</CompleteMultipartUpload>");
        let query = [("uploadId", &*self.id)];
        let call = S3Call { body: body.into(), ..S3Call::new(Method::POST, &self.key, &query) };
        let made = self.bucket.caller.ask(&call).await;
        if let Err(S3Fault::Refused { code, .. }) = &made
            && code == "NoSuchUpload"
            && self.bucket.length(&self.key).await? == Some(self.bytes)
        {
            // The answer to an earlier try was lost.
            return Ok(());
        }
        made.map(|_| ()).map_err(|fault| self.failed(fault))
    }

    /// Removes what was sent. What this leaves behind, a later process removes.
    pub(crate) async fn discard(mut self) {
        // A part that comes after the abort would stay.
        self.sending.shutdown().await;
        if let Err(error) = self.bucket.abort(&self.key, &self.id).await {
            tracing::warn!("{error}");
        }
    }

    /// Sends the part that is filled, once the one before it has come.
    async fn send(&mut self, next: Vec<u8>) -> Result<(), S3Error> {
        self.sent().await?;
        if self.parts.len() == PARTS {
            return Err(self.failed(S3Fault::TooLarge((PART * PARTS) as u64)));
        }
        let part = Bytes::from(std::mem::replace(&mut self.filled, next));
        let number = (self.parts.len() + 1).to_string();
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        self.sending.spawn(async move {
            let query = [("partNumber", &*number), ("uploadId", &*id)];
            let call = S3Call { body: part, ..S3Call::new(Method::PUT, &key, &query) };
            let answer = bucket.caller.ask(&call).await?;
            let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
            let missing = || S3Fault::Unexpected("a part without an ETag".to_owned());
            etag.map(str::to_owned).ok_or_else(missing)
        });
        Ok(())
    }

    /// Waits until the part that is on its way has come.
    async fn sent(&mut self) -> Result<(), S3Error> {
        while let Some(sent) = self.sending.join_next().await {
            let sent = sent.unwrap_or_else(|end| Err(S3Fault::Connection(end.to_string())));
            let etag = sent.map_err(|fault| self.failed(fault))?;
            self.parts.push(etag);
        }
        Ok(())
    }

    fn failed(&self, fault: S3Fault) -> S3Error {
        self.bucket.failed("write", &self.key)(fault)
    }
}
