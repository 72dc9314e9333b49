//! Follows one booking through WatchStatus, and opens the watch again, at another worker, when it
//! ends too early.

use bookingq_proto::v1;
use tokio::time::sleep;
use tonic::{Status, Streaming};

use super::Scene;
use super::call::is_worth_repeating;
use super::door::Use;
use super::progress::count;

/// One client's watch.
#[derive(Debug)]
pub(super) struct Watcher {
    stream: Option<Streaming<v1::WatchStatusResponse>>,
    /// Which worker and channel is next.
    turn: usize,
    /// Failures in a row.
    failures: u32,
    /// The position last told by this stream. Another worker may be a moment behind, so each
    /// stream starts anew.
    position: u64,
}

/// What a watch brings.
pub(super) enum News {
    /// The booking as it is now.
    Booking(v1::Booking),
    /// The booking as it is now, further back in line than this same stream said before.
    FurtherBack(v1::Booking, u64),
    /// A refusal that repeating will not change.
    Refused(Status),
}

impl Watcher {
    pub(super) fn new(turn: usize) -> Self {
        Self { stream: None, turn, failures: 0, position: 0 }
    }

    /// The next news. Safe to drop and call again: nothing is lost.
    pub(super) async fn next(
        &mut self,
        scene: &Scene,
        request: &v1::WatchStatusRequest,
        mut chance: impl FnMut() -> f64,
    ) -> News {
        loop {
            if self.failures > 0 {
                sleep(scene.config.backoff.delay(self.failures, chance())).await;
            }
            let outcome = match &mut self.stream {
                Some(stream) => stream.message().await,
                None => match self.open(scene, request).await {
                    Ok(()) => continue,
                    Err(status) => Err(status),
                },
            };
            match outcome {
                Ok(Some(v1::WatchStatusResponse { booking: Some(booking) })) => {
                    return self.news(booking);
                }
                Ok(Some(_)) => {
                    return News::Refused(Status::internal("an update without a booking"));
                }
                Ok(None) => self.ended(),
                Err(status) => {
                    self.ended();
                    scene.progress.failed(&status);
                    if !is_worth_repeating(&status) {
                        return News::Refused(status);
                    }
                }
            }
        }
    }

    async fn open(
        &mut self,
        scene: &Scene,
        request: &v1::WatchStatusRequest,
    ) -> Result<(), Status> {
        let no_worker = || Status::unavailable("there is no worker just now");
        let mut worker = scene.door.pick(self.turn, Use::Watch).ok_or_else(no_worker)?;
        let _turn = scene.door.turn().await;
        let opening = worker.watch_status(request.clone());
        let opened = tokio::time::timeout(scene.config.timeout, opening).await;
        let response =
            opened.map_err(|_| Status::deadline_exceeded("the watch did not open in time"))??;
        count(&scene.progress.watches);
        self.stream = Some(response.into_inner());
        self.failures = 0;
        self.position = 0;
        Ok(())
    }

    /// The next one is another worker's.
    fn ended(&mut self) {
        self.stream = None;
        self.turn += 1;
        self.failures += 1;
    }

    fn news(&mut self, booking: v1::Booking) -> News {
        let before = std::mem::replace(&mut self.position, booking.position);
        let queued = booking.state() == v1::BookingState::Queued;
        if queued && before > 0 && booking.position > before {
            News::FurtherBack(booking, before)
        } else {
            News::Booking(booking)
        }
    }
}
