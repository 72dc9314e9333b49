//! How a client follows its booking: through WatchStatus, opened again at another worker when it
//! ends too early, or by calling GetStatus again and again.

use std::time::Duration;

use bookingq_core::BookingState;
use bookingq_core::retry::Retry;
use bookingq_proto::v1;
use rand::Rng as _;
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use crate::call::{CallKind, Shown};
use crate::caller::{Caller, Pending, malformed, may_retry};
use crate::pool::Use;
use crate::progress::count;

/// The first wait between two GetStatus calls; it grows to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(150);
const LONGEST_WAIT: Duration = Duration::from_millis(1500);

/// How clients follow their bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// WatchStatus.
    Watch,
    /// GetStatus again and again.
    Poll,
}

/// The updates of one client's booking.
#[derive(Debug)]
pub(crate) struct Updates {
    caller: Caller,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Watch { open: Option<Box<OpenWatch>>, retry: Retry },
    Poll { wait: Duration },
}

#[derive(Debug)]
struct OpenWatch {
    stream: Streaming<v1::WatchStatusResponse>,
    record: Pending,
}

impl Updates {
    pub(crate) fn new(following: Following, caller: Caller) -> Self {
        let source = match following {
            Following::Watch => {
                let retry = Retry::forever(caller.shared.config.backoff);
                Source::Watch { open: None, retry }
            }
            Following::Poll => Source::Poll { wait: Duration::ZERO },
        };
        Self { caller, source }
    }

    /// The next update. Safe to drop and call again: no update is lost.
    ///
    /// # Errors
    /// A refusal that a repeat would not change.
    pub(crate) async fn next(&mut self) -> Result<Shown, Status> {
        let Self { caller, source } = self;
        match source {
            Source::Poll { wait } => {
                sleep(*wait).await;
                *wait = (*wait * 3 / 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                Ok(caller.call_until_final(&CallKind::Status).await?.0)
            }
            Source::Watch { open, retry } => loop {
                if retry.failures() > 0 && open.is_none() {
                    let failures = retry.failures();
                    let delay =
                        caller.shared.config.backoff.delay(failures, caller.chance.random());
                    sleep(delay).await;
                }
                let watch = match open {
                    Some(watch) => watch,
                    None => match open_watch(caller).await {
                        Ok(watch) => {
                            retry.reset();
                            open.insert(Box::new(watch))
                        }
                        Err(status) => {
                            fail(caller, retry, status)?;
                            continue;
                        }
                    },
                };
                match watch.stream.message().await {
                    Ok(Some(update)) => return read(update, &mut watch.record),
                    Ok(None) => {
                        *open = None;
                        next_worker(caller, retry);
                    }
                    Err(status) => {
                        *open = None;
                        fail(caller, retry, status)?;
                    }
                }
            },
        }
    }
}

/// Goes on to the next worker, or fails for good.
fn fail(caller: &mut Caller, retry: &mut Retry, status: Status) -> Result<(), Status> {
    next_worker(caller, retry);
    caller.shared.progress.failed(&status);
    if may_retry(&status) {
        return Ok(());
    }
    Pending::new(caller, CallKind::Watch).end(Err(&status));
    Err(status)
}

fn next_worker(caller: &mut Caller, retry: &mut Retry) {
    caller.turn += 1;
    // Only counts: the wait itself happens when the watch is opened again.
    let _ = retry.next_delay(Duration::ZERO, 0.0);
}

fn read(update: v1::WatchStatusResponse, record: &mut Pending) -> Result<Shown, Status> {
    let shown = update.booking.and_then(|booking| {
        let mut shown = Shown::from_proto(&booking, false)?;
        if shown.state == BookingState::Queued {
            shown.position = Some(booking.position).filter(|position| *position > 0);
        }
        Some(shown)
    });
    let shown = shown.ok_or_else(malformed);
    record.end(shown.as_ref());
    shown
}

async fn open_watch(caller: &Caller) -> Result<OpenWatch, Status> {
    let shared = &caller.shared;
    let mut worker = shared.pool.pick(caller.turn, Use::Watch).await;
    let request = v1::WatchStatusRequest {
        queue: shared.config.queue.to_string(),
        client_id: caller.client.to_string(),
    };
    let _turn = shared.pool.turn().await;
    // An unfinished opening promises nothing, so it is not recorded.
    let record = Pending::new(caller, CallKind::Watch).unrecorded();
    let opened = timeout(shared.config.timeout, worker.watch_status(request)).await;
    let response =
        opened.map_err(|_| Status::deadline_exceeded("the watch did not open in time"))??;
    count(&shared.progress.watches);
    Ok(OpenWatch { stream: response.into_inner(), record })
}
