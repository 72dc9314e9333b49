//! How a client follows its booking: through WatchStatus, a WebSocket, or by calling GetStatus
//! repeatedly.

use std::time::Duration;

use bookingq_client::{StatusWatch, WorkerCallError};
use bookingq_core::BookingState;
use bookingq_proto::v1;
use tokio::time::{Instant, sleep};

use crate::behaviour::Following;
use crate::call::{BookingSnapshot, CallKind, malformed};
use crate::caller::{Caller, Route, record};
use crate::gateway::PlaceSocket;

/// The first wait between two GetStatus calls; it grows to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(150);
const MAX_WAIT: Duration = Duration::from_millis(1500);

/// The updates of one client's booking.
#[derive(Debug)]
pub struct Updates {
    caller: Caller,
    source: UpdateSource,
}

#[derive(Debug)]
enum UpdateSource {
    /// `since`: the last update, or the start.
    Watch {
        watch: Box<StatusWatch>,
        since: Instant,
    },
    /// A WebSocket of a gateway.
    Socket(Box<PlaceSocket>),
    Poll {
        wait: Duration,
    },
}

impl Updates {
    pub fn new(following: Following, caller: Caller) -> Self {
        let source = match (following, &caller.route) {
            (Following::Watch, Route::Gateway(_)) => UpdateSource::Socket(Box::default()),
            (Following::Watch, Route::Worker(worker)) => {
                let request = v1::WatchStatusRequest {
                    queue: caller.context.config.queue.to_string(),
                    client_id: caller.client.to_string(),
                };
                let watch = Box::new(StatusWatch::new(worker, request));
                UpdateSource::Watch { watch, since: Instant::now() }
            }
            (Following::Poll, _) => UpdateSource::Poll { wait: Duration::ZERO },
        };
        Self { caller, source }
    }

    /// The next update. Safe to drop and call again: no update is lost.
    ///
    /// # Errors
    /// A refusal that a retry would not change.
    pub async fn next(&mut self) -> Result<BookingSnapshot, WorkerCallError> {
        let Self { caller, source } = self;
        match source {
            UpdateSource::Poll { wait } => {
                sleep(*wait).await;
                *wait = (*wait * 3 / 2).clamp(FIRST_WAIT, MAX_WAIT);
                Ok(caller.call(&CallKind::Status).await?.0)
            }
            UpdateSource::Socket(socket) => {
                let since = Instant::now();
                let answer = socket.next(caller).await;
                if let Err(WorkerCallError::Refused(status)) = &answer {
                    record(&caller.context, &caller.client, &CallKind::Watch, since, Err(status));
                }
                answer
            }
            UpdateSource::Watch { watch, since } => {
                let answer = next_of_watch(caller, watch).await;
                if let Err(WorkerCallError::Refused(status)) = &answer {
                    record(&caller.context, &caller.client, &CallKind::Watch, *since, Err(status));
                }
                *since = Instant::now();
                answer
            }
        }
    }
}

async fn next_of_watch(
    caller: &mut Caller,
    watch: &mut StatusWatch,
) -> Result<BookingSnapshot, WorkerCallError> {
    let progress = &caller.context.progress;
    let Route::Worker(worker) = &mut caller.route else { return Err(WorkerCallError::Stopped) };
    let update = watch.next(worker, |status| progress.call_failed(status)).await?;
    if update.is_first {
        progress.count(|progress| progress.watches += 1);
    }
    let booking = BookingSnapshot::from_proto(&update.booking, false);
    let mut booking = booking.ok_or_else(|| WorkerCallError::Refused(malformed()))?;
    // Clients that wait for a sold out item are counted apart.
    if booking.state == BookingState::Queued && !update.booking.parked {
        booking.position = Some(update.booking.position).filter(|position| *position > 0);
    }
    record(&caller.context, &caller.client, &CallKind::Watch, update.opened, Ok(&booking));
    Ok(booking)
}
