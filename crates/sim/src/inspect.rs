//! Reads the ledger of a simulated Booking Service that runs elsewhere, through its HTTP port (see
//! `admin`).

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{Invalid, QueueName};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ledger::{Entry, LedgerCopy, Totals};

/// Entries asked for at once: as many as one answer has at most.
const PAGE: usize = 10_000;
/// More bytes than a page of entries ever has.
const LARGEST: usize = 32 << 20;
/// One request takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// A request that fails so often in a row is given up.
const TRIES: u32 = 5;
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(2) };

/// The HTTP port of a simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteLedger {
    host: String,
    port: u16,
}

/// Why the ledger could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the simulated Booking Service's ledger at http://{address}{path} cannot be read: {problem}"
)]
pub struct LedgerError {
    address: String,
    path: String,
    problem: String,
}

/// A page of entries, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Page {
    total: usize,
    bookings: Vec<Entry>,
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
    /// All that the ledger says of `queue`; its totals are of all queues.
    ///
    /// # Errors
    /// When it does not answer, or not as a simulated Booking Service does.
    pub async fn copy(&self, queue: &QueueName) -> Result<LedgerCopy, LedgerError> {
        let totals: Totals = self.get("/ledger").await?;
        let mut copy = LedgerCopy { totals, ..LedgerCopy::default() };
        let mut from = 0;
        loop {
            let page: Page =
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

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LedgerError> {
        let mut tries = 0;
        loop {
            let answer = timeout(DEADLINE, self.ask(path)).await;
            let problem =
                match answer.unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}"))) {
                    Ok(body) => match serde_json::from_slice(&body) {
                        Ok(value) => return Ok(value),
                        Err(error) => format!("an answer that is not a ledger's: {error}"),
                    },
                    Err(problem) => problem,
                };
            tries += 1;
            if tries == TRIES {
                let address = format!("{}:{}", self.host, self.port);
                return Err(LedgerError { address, path: path.to_owned(), problem });
            }
            sleep(BACKOFF.delay(tries, rand::random())).await;
        }
    }

    /// One request, on a connection of its own: there are few.
    async fn ask(&self, path: &str) -> Result<Bytes, String> {
        let told = |error: &dyn std::error::Error| error.to_string();
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| told(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| told(&error))?;
        // It ends with the connection, whose errors the request tells.
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header(HOST, &self.host).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| told(&error))?;
        let response = sender.send_request(request).await.map_err(|error| told(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await
            .map_err(|error| told(&*error))?;
        connection.abort();
        if status.is_success() { Ok(body.to_bytes()) } else { Err(format!("it answered {status}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_where_the_simulator_says_it_is() {
        let local = RemoteLedger { host: "127.0.0.1".to_owned(), port: 6080 };
        assert_eq!("http://127.0.0.1:6080".parse(), Ok(local.clone()));
        assert_eq!("http://127.0.0.1:6080/ledger".parse(), Ok(local));
        for wrong in ["127.0.0.1:6080", "https://a", "http://a/stats", ""] {
            assert!(wrong.parse::<RemoteLedger>().is_err(), "{wrong}");
        }
    }
}
