//! An object, piece by piece. After a cut it goes on where it was.

use bookingq_core::retry::Retry;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ETAG};
use http::{HeaderName, Method, Response, StatusCode};
use hyper::body::Incoming;

use super::bucket::S3Bucket;
use super::call::S3Call;
use super::error::{S3Error, S3Fault};

/// An object that is read.
pub(crate) struct S3Reader {
    bucket: S3Bucket,
    key: String,
    etag: String,
    length: u64,
    read: u64,
    /// `None` after a cut.
    body: Option<Incoming>,
    /// The tries since the last byte.
    retry: Option<Retry>,
}

impl S3Reader {
    pub(crate) async fn open(bucket: &S3Bucket, key: &str) -> Result<Self, S3Error> {
        let answer = bucket.caller.begin(&S3Call::new(Method::GET, key, &[])).await;
        let opened = answer.and_then(|answer| {
            let etag = header(&answer, &ETAG)?.to_owned();
            let length = header(&answer, &CONTENT_LENGTH)?.parse::<u64>();
            let length = length.map_err(|_| S3Fault::Unexpected("its length".to_owned()))?;
            Ok((etag, length, answer.into_body()))
        });
        let (etag, length, body) = opened.map_err(bucket.failed("read", key))?;
        let (bucket, key, body) = (bucket.clone(), key.to_owned(), Some(body));
        Ok(Self { bucket, key, etag, length, read: 0, body, retry: None })
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        while self.read < self.length {
            match self.piece().await {
                Ok(piece) => {
                    self.read += piece.len() as u64;
                    self.retry = None;
                    return Ok(Some(piece));
                }
                Err(fault) => {
                    self.body = None;
                    let caller = &self.bucket.caller;
                    let retry = self.retry.get_or_insert_with(|| caller.retry());
                    if !(fault.is_transient() && retry.wait().await) {
                        return Err(self.bucket.failed("read", &self.key)(fault));
                    }
                }
            }
        }
        Ok(None)
    }

    /// At least one byte.
    async fn piece(&mut self) -> Result<Bytes, S3Fault> {
        let caller = &self.bucket.caller;
        let body = if let Some(body) = &mut self.body {
            body
        } else {
            let rest = Some((self.read, &*self.etag));
            let call = S3Call { rest, ..S3Call::new(Method::GET, &self.key, &[]) };
            let answer = caller.begin(&call).await?;
            if answer.status() != StatusCode::PARTIAL_CONTENT {
                return Err(S3Fault::Unexpected("no part of the object".to_owned()));
            }
            self.body.insert(answer.into_body())
        };
        loop {
            match caller.next(body).await? {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => return Ok(piece),
                None => return Err(S3Fault::Connection("the answer was cut".to_owned())),
            }
        }
    }
}

fn header<'a>(answer: &'a Response<Incoming>, name: &HeaderName) -> Result<&'a str, S3Fault> {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| S3Fault::Unexpected(format!("no {name}")))
}
