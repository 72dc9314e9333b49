//! One call of S3: signed, sent, and repeated while another try can help.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, IF_MATCH, RANGE};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use jiff::Timestamp;
use tokio::time::timeout;

use super::address::{BucketAddress, query};
use super::answers;
use super::error::S3Fault;
use super::settings::S3Credentials;
use super::sign::SignedCall;
use super::silence::{CallBody, LastMove};

/// Between the tries of a call.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(250), max: Duration::from_secs(5) };
/// After the first failure, no try starts later than this, nor later than `silence`.
const TRIES: Duration = Duration::from_secs(30);
/// Longest answer that is not an object. A list has a thousand keys of a kilobyte at most.
const ANSWER: usize = 4 << 20;

/// What to ask for.
#[derive(Debug, Clone)]
pub(super) struct S3Call<'a> {
    pub(super) method: Method,
    /// The object; empty: the bucket.
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// The rest of an object from this byte on, as long as it has this ETag.
    pub(super) rest: Option<(u64, &'a str)>,
    pub(super) body: Bytes,
}

impl<'a> S3Call<'a> {
    /// Sends nothing.
    pub(super) fn new(method: Method, key: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method, key, query, rest: None, body: Bytes::new() }
    }
}

/// Calls a bucket.
pub(super) struct S3Caller {
    pub(super) address: BucketAddress,
    pub(super) region: String,
    pub(super) credentials: S3Credentials,
    pub(super) silence: Duration,
    pub(super) client: Client<HttpsConnector<HttpConnector>, CallBody>,
}

impl S3Caller {
    /// The tries after a first failure.
    pub(super) fn retry(&self) -> Retry {
        Retry::within(BACKOFF, TRIES.min(self.silence))
    }

    /// The answer to a call: its head, and all of its body.
    pub(super) async fn ask(&self, call: &S3Call<'_>) -> Result<Response<Bytes>, S3Fault> {
        self.repeat(|| self.try_to_ask(call)).await
    }

    /// The answer to a call, whose body is still to come.
    pub(super) async fn begin(&self, call: &S3Call<'_>) -> Result<Response<Incoming>, S3Fault> {
        self.repeat(|| self.send(call)).await
    }

    /// The next bytes of an answer; `None` at its end.
    pub(super) async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>, S3Fault> {
        loop {
            let frame = timeout(self.silence, body.frame()).await;
            match frame.map_err(|_| S3Fault::Silent(self.silence))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(connection(&error)),
                // Trailers are no data.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn repeat<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, S3Fault>
    where
        F: Future<Output = Result<T, S3Fault>>,
    {
        let mut retry = None;
        loop {
            match attempt().await {
                Err(fault) if fault.is_transient() => {
                    if !retry.get_or_insert_with(|| self.retry()).wait().await {
                        return Err(fault);
                    }
                    let endpoint = &self.address.endpoint;
                    tracing::warn!("a call of {endpoint} is repeated: {fault}");
                }
                outcome => return outcome,
            }
        }
    }

    /// One try, up to the end of the answer.
    async fn try_to_ask(&self, call: &S3Call<'_>) -> Result<Response<Bytes>, S3Fault> {
        let (head, body) = self.send(call).await?.into_parts();
        let body = self.read(body).await?;
        if answers::is_refusal(&body) {
            // Only an error of S3 itself comes so late.
            return Err(answers::refused(500, &body));
        }
        Ok(Response::from_parts(head, body))
    }

    /// One try, up to the head of an answer that is no refusal.
    async fn send(&self, call: &S3Call<'_>) -> Result<Response<Incoming>, S3Fault> {
        let moved = LastMove::now();
        let request = self.request(call, moved.clone())?;
        let answer = moved.watch(self.silence, self.client.request(request)).await?;
        let answer = answer.map_err(|error| connection(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        // The status is known, whatever comes of the text.
        let body = self.read(body).await.unwrap_or_default();
        Err(answers::refused(head.status.as_u16(), &body))
    }

    fn request(&self, call: &S3Call<'_>, moved: LastMove) -> Result<Request<CallBody>, S3Fault> {
        let BucketAddress { endpoint, host, .. } = &self.address;
        let (path, query) = (self.address.path(call.key), query(call.query));
        let signed = SignedCall {
            method: call.method.as_str(),
            path: &path,
            query: &query,
            host,
            body: &call.body,
            region: &self.region,
            at: Timestamp::now(),
        };
        let mut request = Request::builder()
            .method(&call.method)
            .uri(format!("{endpoint}{path}?{query}"))
            .header(HOST, host)
            .header(CONTENT_LENGTH, call.body.len());
        for (name, value) in signed.headers(&self.credentials) {
            request = request.header(name, value);
        }
        if let Some((from, etag)) = call.rest {
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_MATCH, etag);
        }
        let request = request.body(CallBody::new(call.body.clone(), moved));
        request.map_err(|error| S3Fault::Unwritable(error.to_string()))
    }

    /// All of a short answer.
    async fn read(&self, mut body: Incoming) -> Result<Bytes, S3Fault> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next(&mut body).await? {
            if whole.len() + piece.len() > ANSWER {
                return Err(S3Fault::Unexpected(format!("it has more than {ANSWER} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}

/// An error of a connection with its causes, which say what happened.
fn connection(error: &dyn std::error::Error) -> S3Fault {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    S3Fault::Connection(text)
}
