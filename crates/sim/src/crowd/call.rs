//! Calls that are repeated, at one worker after the other, until they are answered.

use std::future::Future;
use std::time::Duration;

use bookingq_proto::error::reason_of;
use bookingq_proto::v1::ErrorReason;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Response, Status};

use super::Scene;
use super::door::{Use, WorkerClient};

/// Whether the same call may well be answered otherwise later: everything but a decided refusal.
pub(super) fn is_worth_repeating(status: &Status) -> bool {
    match reason_of(status) {
        Some(reason) => matches!(reason, ErrorReason::Overloaded | ErrorReason::StoreUnavailable),
        None => !matches!(
            status.code(),
            Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented
                | Code::OutOfRange
        ),
    }
}

/// One client's way to the workers.
#[derive(Debug)]
pub(super) struct Caller {
    /// Which worker and channel is next.
    pub(super) turn: usize,
    /// For the back-off.
    pub(super) chance: SmallRng,
}

impl Caller {
    /// Repeats a call, each time at the next worker, until it is answered; gives the answer and how
    /// long its call took.
    ///
    /// # Errors
    /// A refusal that repeating will not change.
    pub(super) async fn insist<M: Clone, T, F>(
        &mut self,
        scene: &Scene,
        message: M,
        mut call: impl FnMut(WorkerClient, Request<M>) -> F,
    ) -> Result<(T, Duration), Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let limit = scene.config.timeout;
        let mut failures = 0;
        loop {
            let turn = scene.door.turn().await;
            let start = Instant::now();
            let answer = match scene.door.pick(self.turn, Use::Call) {
                None => Err(Status::unavailable("there is no worker just now")),
                Some(worker) => {
                    let mut request = Request::new(message.clone());
                    request.set_timeout(limit);
                    let answered = timeout(limit, call(worker, request)).await;
                    answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
                }
            };
            drop(turn);
            self.turn += 1;
            match answer {
                Ok(response) => return Ok((response.into_inner(), start.elapsed())),
                Err(status) => {
                    scene.progress.failed(&status);
                    if !is_worth_repeating(&status) {
                        return Err(status);
                    }
                }
            }
            failures += 1;
            sleep(scene.config.backoff.delay(failures, self.chance.random())).await;
        }
    }
}
