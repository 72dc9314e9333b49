//! A client's WebSocket: reopened when it ends too early, as the page does.

use std::time::Duration;

use bookingq_client::WorkerCallError;
use bookingq_client::retry::{RetryDecision, decide};
use bookingq_core::{BookingState, EventSeq};
use bookingq_proto::error::{DOMAIN, reason_word};
use bookingq_proto::v1::ErrorReason;
use futures::StreamExt as _;
use rand::Rng as _;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::http::GatewayClient;
use super::place::{PlaceView, status_of};
use crate::call::{BookingSnapshot, CallKind, ShownVersion, malformed};
use crate::caller::{Caller, Route, record};

/// No frame for this long, although the gateway sends a ping every 25 s: the connection is dead.
const SILENCE: Duration = Duration::from_secs(75);
/// The close code for a place that the queue does not know.
const PLACE_UNKNOWN: u16 = 4401;

/// One client's socket.
#[derive(Debug, Default)]
pub struct PlaceSocket {
    open: Option<OpenSocket>,
    /// Failures since the last hello.
    failures: u32,
    /// Not before this moment.
    reopen_at: Option<Instant>,
    /// When the last socket that had said hello was lost.
    lost: Option<Instant>,
}

#[derive(Debug)]
struct OpenSocket {
    stream: WebSocketStream<TcpStream>,
    opened: Instant,
    /// The place as it was shown last, with its version; `None` before the hello.
    shown: Option<(PlaceView, ShownVersion)>,
}

/// The frames of protocol 1 that a crowd reads.
#[derive(Debug, Deserialize)]
#[serde(tag = "t")]
enum Frame {
    #[serde(rename = "hello")]
    Hello { b: PlaceView, e: String, id: String },
    /// A tick; `s` is the segment of the place.
    #[serde(rename = "k")]
    Tick { s: Option<[u64; 3]> },
    /// News of the booking.
    #[serde(rename = "b")]
    News {
        id: String,
        bk: String,
        st: String,
        dl: Option<i64>,
        #[serde(default)]
        parked: bool,
    },
    #[serde(rename = "bye")]
    Bye { after: Option<[u64; 2]> },
    #[serde(other)]
    Other,
}

impl PlaceSocket {
    /// The next update. Safe to drop and call again: no update is lost.
    ///
    /// # Errors
    /// A refusal that another socket would not change.
    pub async fn next(&mut self, caller: &mut Caller) -> Result<BookingSnapshot, WorkerCallError> {
        loop {
            let Some(open) = &mut self.open else {
                self.reopen(caller).await?;
                continue;
            };
            let frame = match timeout(SILENCE, open.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str(&text),
                Ok(Some(Ok(Message::Close(close)))) => {
                    let code = close.map(|close| u16::from(close.code));
                    self.closed(caller, code)?;
                    continue;
                }
                // A pong is sent with the next read.
                Ok(Some(Ok(_))) => continue,
                Ok(Some(Err(_)) | None) | Err(_) => {
                    self.closed(caller, None)?;
                    continue;
                }
            };
            let frame = frame.map_err(|_| WorkerCallError::Refused(malformed()))?;
            if let Some(snapshot) = self.received(caller, frame)? {
                return Ok(snapshot);
            }
        }
    }

    fn received(
        &mut self,
        caller: &mut Caller,
        frame: Frame,
    ) -> Result<Option<BookingSnapshot>, WorkerCallError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let position = match frame {
            Frame::Hello { b, e: epoch, id } => {
                caller.context.progress.count(|progress| progress.watches += 1);
                if let Some(lost) = self.lost.take() {
                    caller.context.latencies.reconnected(lost.elapsed());
                }
                self.failures = 0;
                let (position, sequence) = (b.position, sequence(&id)?);
                open.shown = Some((b, ShownVersion { epoch, sequence }));
                position
            }
            Frame::Tick { s } => {
                let Some((shown, _)) = &mut open.shown else { return Ok(None) };
                let Some(bound) = s.and_then(|segment| position(segment, shown.number)) else {
                    return Ok(None);
                };
                // A tick bounds the position; the hello may have been exact. Like the page, a
                // client never shows that it moved back.
                let position = shown.position.map_or(bound, |last| last.min(bound));
                shown.position = Some(position);
                Some(position)
            }
            Frame::News { id, bk, st, dl, parked } => {
                let Some((shown, version)) = open.shown.as_mut() else { return Ok(None) };
                if bk != shown.booking_id {
                    return Ok(None);
                }
                version.sequence = sequence(&id)?;
                shown.state = st;
                // A position among the parked is none in the line.
                shown.position = shown.position.filter(|_| parked == shown.parked);
                shown.parked = parked;
                shown.deadline = dl.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
                None
            }
            Frame::Bye { after } => {
                let [low, high] = after.unwrap_or([0, 2000]);
                let wait = rand::rng().random_range(low..=high.max(low));
                self.reopen_at = Some(Instant::now() + Duration::from_millis(wait));
                return Ok(None);
            }
            Frame::Other => return Ok(None),
        };
        let snapshot = open.shown.as_ref().and_then(|(shown, version)| {
            let version = Some(version.clone());
            Some(BookingSnapshot { version, ..shown.snapshot(false)? })
        });
        let mut snapshot = snapshot.ok_or_else(|| WorkerCallError::Refused(malformed()))?;
        if snapshot.state == BookingState::Queued && !snapshot.parked {
            snapshot.position = position;
        }
        record(&caller.context, &caller.client, &CallKind::Watch, open.opened, Ok(&snapshot));
        Ok(Some(snapshot))
    }

    /// Plans when to open the next socket.
    fn closed(&mut self, caller: &Caller, code: Option<u16>) -> Result<(), WorkerCallError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if code == Some(PLACE_UNKNOWN) {
            return Err(WorkerCallError::Refused(place_unknown()));
        }
        if open.shown.is_some() {
            self.lost.get_or_insert_with(Instant::now);
        }
        if self.reopen_at.is_none() {
            let status = Status::unknown("the WebSocket was cut");
            caller.context.progress.call_failed(&status);
            self.wait(caller, Duration::ZERO);
        }
        Ok(())
    }

    fn wait(&mut self, caller: &Caller, asked: Duration) {
        self.failures = self.failures.saturating_add(1);
        let most = caller.context.config.reopen_within;
        let longest = Duration::from_secs(1 << self.failures.min(5)).min(most);
        let wait = longest.mul_f64(rand::rng().random()).max(asked);
        self.reopen_at = Some(Instant::now() + wait);
    }

    async fn reopen(&mut self, caller: &mut Caller) -> Result<(), WorkerCallError> {
        let policy = caller.context.policy.clone();
        if let Some(at) = self.reopen_at {
            sleep_until(at).await;
        }
        self.reopen_at = None;
        let Route::Gateway(client) = &mut caller.route else {
            return Err(WorkerCallError::Stopped);
        };
        let (opened, queue) = (Instant::now(), &caller.context.config.queue);
        let path = format!("/v1/queues/{queue}/socket");
        let answer = timeout(policy.deadline, open(client, &path)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no WebSocket")));
        match answer {
            Ok(stream) => {
                self.open = Some(OpenSocket { stream, opened, shown: None });
                Ok(())
            }
            Err(status) => {
                caller.context.progress.call_failed(&status);
                match decide(&status) {
                    RetryDecision::Never => return Err(WorkerCallError::Refused(status)),
                    RetryDecision::AtAnotherWorker => self.wait(caller, Duration::ZERO),
                    RetryDecision::Later(asked) => self.wait(caller, asked),
                }
                Ok(())
            }
        }
    }
}

/// The position of a number in a segment that begins at number `from` with position `at`, and ends
/// at position `end`.
fn position([from, at, end]: [u64; 3], number: u64) -> Option<u64> {
    Some((at + number.checked_sub(from)?).min(end))
}

/// The sequence of a frame: `MS-NUMBER`.
fn sequence(id: &str) -> Result<EventSeq, WorkerCallError> {
    let parts = id.split_once('-');
    let parsed = parts.and_then(|(ms, number)| Some((ms.parse().ok()?, number.parse().ok()?)));
    let (ms, number) = parsed.ok_or_else(|| WorkerCallError::Refused(malformed()))?;
    Ok(EventSeq { ms, number })
}

fn place_unknown() -> Status {
    let mut details = ErrorDetails::new();
    let reason = reason_word(ErrorReason::BookingNotFound);
    details.set_error_info(reason, DOMAIN, std::collections::HashMap::new());
    Status::with_error_details(Code::NotFound, "the queue does not know the place", details)
}

async fn open(
    client: &mut GatewayClient,
    path: &str,
) -> Result<WebSocketStream<TcpStream>, Status> {
    let failed = |error: &dyn std::fmt::Display| Status::unknown(error.to_string());
    let token = client.place_token()?;
    let address = client.next_gateway()?;
    let request = format!("ws://{address}{path}").into_client_request();
    let mut request = request.map_err(|error| failed(&error))?;
    let bearer = format!("Bearer {token}").parse();
    let bearer = bearer.map_err(|_| Status::failed_precondition("the token is no header"))?;
    request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
    let protocol = http::HeaderValue::from_static("bq1");
    request.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let config =
        WebSocketConfig::default().read_buffer_size(1024).max_message_size(Some(64 * 1024));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(response)) => {
            Err(status_of(response.status(), response.body().as_deref().unwrap_or_default()))
        }
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_counted_from_the_start_of_its_segment_and_never_beyond_its_end() {
        assert_eq!(position([100, 40, 60], 100), Some(40));
        assert_eq!(position([100, 40, 60], 110), Some(50));
        assert_eq!(position([100, 40, 60], 200), Some(60));
        assert_eq!(position([100, 40, 60], 99), None);
    }
}
