//! Reads the ledger of a simulated Booking Service in another process, through its HTTP port (see
//! `admin`).

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_core::{Invalid, QueueName};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ledger::{ItemStock, LedgerCopy, LedgerEntry, LedgerTotals};

/// Entries of one request: the maximum of a page.
const PAGE: usize = 10_000;
/// Limit of a response body; a page of entries is smaller.
const MAX_BODY: usize = 32 << 20;
/// Limit of one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Limit of one request with its retries.
const LIMIT: Duration = Duration::from_secs(5);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(2) };

/// The HTTP port of a simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteLedger {
    host: String,
    port: u16,
}

/// Why the ledger cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the simulated Booking Service's ledger at http://{address}{path} cannot be read: {problem}"
)]
pub struct LedgerError {
    address: String,
    path: String,
    problem: String,
}

#[derive(Debug, Deserialize)]
struct LedgerPage {
    total: usize,
    bookings: Vec<LedgerEntry>,
}

impl std::str::FromStr for RemoteLedger {
    type Err = Invalid;

    /// `http://HOST:PORT`, with or without `/ledger` at its end.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parsed = || {
            let uri: Uri = text.parse().ok()?;
            let plain = uri.scheme_str() == Some("http") && ["/", "/ledger"].contains(&uri.path());
            let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
            plain.then(|| Self { host, port: uri.port_u16().unwrap_or(80) })
        };
        parsed().ok_or_else(|| Invalid::new("ledger", text, "http://HOST:PORT"))
    }
}

impl RemoteLedger {
    /// The entries and overlaps of `queue`, with the totals and items of all queues.
    ///
    /// # Errors
    /// If it does not answer, or not with a ledger.
    pub async fn copy(&self, queue: &QueueName) -> Result<LedgerCopy, LedgerError> {
        let totals: LedgerTotals = self.get("/ledger").await?;
        let mut copy = LedgerCopy { totals, items: self.items().await?, ..LedgerCopy::default() };
        let mut from = 0;
        loop {
            let page: LedgerPage =
                self.get(&format!("/ledger/bookings?from={from}&limit={PAGE}")).await?;
            from += page.bookings.len();
            let last = page.bookings.is_empty() || from >= page.total;
            copy.entries
                .extend(page.bookings.into_iter().filter(|entry| *entry.queue == *queue.as_str()));
            if last {
                break;
            }
        }
        copy.overlaps = self.get("/ledger/overlaps").await?;
        copy.overlaps.retain(|overlap| *overlap.queue == *queue.as_str());
        Ok(copy)
    }

    /// The tickets of each item.
    ///
    /// # Errors
    /// As [`Self::copy`].
    pub async fn items(&self) -> Result<BTreeMap<Arc<str>, ItemStock>, LedgerError> {
        self.get("/ledger/items").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LedgerError> {
        let retry = Retry::within(BACKOFF, LIMIT);
        let answer = retry.run(|_| true, || self.try_get(path)).await;
        let (address, path) = (format!("{}:{}", self.host, self.port), path.to_owned());
        answer.map_err(|problem| LedgerError { address, path, problem })
    }

    async fn try_get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let answer = timeout(DEADLINE, self.request(path)).await;
        let body = answer.map_err(|_| format!("no answer within {DEADLINE:?}"))?;
        let body = body.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body)
            .map_err(|error| format!("the answer is not a ledger: {error}"))
    }

    /// One request on its own connection: there are few.
    async fn request(&self, path: &str) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // The request reports the connection's errors.
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header(HOST, &self.host).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await?;
        connection.abort();
        if status.is_success() {
            Ok(body.to_bytes())
        } else {
            Err(format!("the status is {status}").into())
        }
    }
}
