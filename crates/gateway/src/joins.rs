//! Joins of a queue, gathered into EnqueueBatch: a rush of browsers becomes a few large calls.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::v1::{self, enqueue_result};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::problem::{Problem, ProblemReason};
use crate::workers::QueueWorkers;

/// How long the first join of a batch waits for further ones.
const GATHER: Duration = Duration::from_millis(2);
/// Joins in one call.
const BATCH: usize = 256;
/// Calls at once. A worker makes one call of the store for each.
const IN_FLIGHT: usize = 8;
/// Joins that wait for a call; further ones are refused.
const WAITING: usize = 4096;
/// Limit of one join, with all waiting.
const LIMIT: Duration = Duration::from_secs(15);

/// The outcome of one join.
type Joined = Result<v1::EnqueueResponse, Problem>;

struct Join {
    request: v1::EnqueueRequest,
    /// A trace that is recorded: it goes along with a call of its own.
    trace: Option<String>,
    answer: oneshot::Sender<Joined>,
}

/// Sends the joins of one queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Joins {
    waiting: mpsc::Sender<Join>,
}

impl Joins {
    /// Starts the task that gathers joins. It ends when the last clone is dropped.
    pub fn start(workers: QueueWorkers) -> Self {
        let (waiting, receiver) = mpsc::channel(WAITING);
        tokio::spawn(gather(workers, receiver));
        Self { waiting }
    }

    /// Joins the line. `trace` is the request's `traceparent`.
    ///
    /// # Errors
    /// The worker's refusal; [`ProblemReason::Overloaded`] if too many joins wait.
    pub async fn join(&self, request: v1::EnqueueRequest, trace: Option<String>) -> Joined {
        let (answer, joined) = oneshot::channel();
        let trace = trace.filter(|trace| is_recorded(trace));
        let full = |_| Problem::new(ProblemReason::Overloaded, "too many clients are joining");
        self.waiting.try_send(Join { request, trace, answer }).map_err(full)?;
        let late =
            |_| Problem::new(ProblemReason::UpstreamUnavailable, "no worker answered in time");
        let stopped =
            |_| Problem::new(ProblemReason::UpstreamUnavailable, "this gateway shuts down");
        timeout(LIMIT, joined).await.map_err(late)?.map_err(stopped)?
    }
}

/// Whether the caller records this trace: the last bit of the flags of version 00.
fn is_recorded(trace: &str) -> bool {
    let flags = trace.rsplit('-').next().and_then(|flags| u8::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 1 == 1)
}

async fn gather(workers: QueueWorkers, mut waiting: mpsc::Receiver<Join>) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Some(first) = waiting.recv().await {
        let until = Instant::now() + GATHER;
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            match timeout_at(until, waiting.recv_many(&mut batch, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        // The semaphore is never closed. While all calls are in flight, the next batch waits here,
        // and further joins in the channel.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let workers = workers.clone();
        tokio::spawn(async move {
            send(&workers, batch).await;
            drop(permit);
        });
    }
}

/// The joins with the same client and request id, which are one.
struct SameJoins {
    request: v1::EnqueueRequest,
    answers: Vec<oneshot::Sender<Joined>>,
}

impl SameJoins {
    /// One of them made the booking; for the others it exists.
    fn answer(self, joined: Joined) {
        let mut joined = joined;
        for answer in self.answers {
            // The client may be gone.
            let _ = answer.send(joined.clone());
            if let Ok(response) = &mut joined {
                response.existing = true;
            }
        }
    }
}

async fn send(workers: &QueueWorkers, batch: Vec<Join>) {
    let (traced, plain): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .filter(|join| !join.answer.is_closed())
        .partition(|join| join.trace.is_some());
    let traced = traced.into_iter().map(|join| send_traced(workers, join));
    let plain = send_together(workers, merge(plain));
    futures::future::join(futures::future::join_all(traced), plain).await;
}

async fn send_traced(workers: &QueueWorkers, join: Join) {
    let answer = workers.client().with_trace(join.trace).call(join.request).await;
    let _ = join.answer.send(answer.map_err(Problem::from));
}

fn merge(joins: Vec<Join>) -> Vec<SameJoins> {
    let mut known: HashMap<(String, String), usize> = HashMap::with_capacity(joins.len());
    let mut merged: Vec<SameJoins> = Vec::with_capacity(joins.len());
    for Join { request, answer, .. } in joins {
        match known.entry((request.client_id.clone(), request.request_id.clone())) {
            Entry::Occupied(same) => merged[*same.get()].answers.push(answer),
            Entry::Vacant(new) => {
                new.insert(merged.len());
                merged.push(SameJoins { request, answers: vec![answer] });
            }
        }
    }
    merged
}

async fn send_together(workers: &QueueWorkers, joins: Vec<SameJoins>) {
    if joins.is_empty() {
        return;
    }
    let requests = joins.iter().map(|same| same.request.clone()).collect();
    let answer = workers.client().call(v1::EnqueueBatchRequest { requests }).await;
    match answer.map_err(Problem::from) {
        Ok(response) if response.results.len() == joins.len() => {
            for (same, result) in joins.into_iter().zip(response.results) {
                same.answer(joined(result.result));
            }
        }
        Ok(_) => fail(joins, &Problem::unreadable()),
        Err(problem) => fail(joins, &problem),
    }
}

fn joined(result: Option<enqueue_result::Result>) -> Joined {
    match result {
        Some(enqueue_result::Result::Response(response)) => Ok(response),
        Some(enqueue_result::Result::Error(error)) => Err(Problem::of_batch(error)),
        None => Err(Problem::unreadable()),
    }
}

fn fail(joins: Vec<SameJoins>, problem: &Problem) {
    for same in joins {
        same.answer(Err(problem.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(client: &str, request: &str) -> (Join, oneshot::Receiver<Joined>) {
        let (answer, joined) = oneshot::channel();
        let request = v1::EnqueueRequest {
            client_id: client.to_owned(),
            request_id: request.to_owned(),
            ..Default::default()
        };
        (Join { request, trace: None, answer }, joined)
    }

    #[tokio::test]
    async fn repeats_of_one_join_in_a_batch_are_one_request_and_one_of_them_made_the_booking() {
        let (joins, answers): (Vec<_>, Vec<_>) =
            [join("a", "1"), join("b", "1"), join("a", "1"), join("a", "2")].into_iter().unzip();
        let merged = merge(joins);
        assert_eq!(merged.len(), 3);
        for same in merged {
            let booking = Some(v1::Booking::default());
            same.answer(Ok(v1::EnqueueResponse { booking, existing: false }));
        }
        let mut existing = Vec::new();
        for answer in answers {
            existing.push(answer.await.unwrap().unwrap().existing);
        }
        assert_eq!(existing, [false, false, true, false]);
    }

    #[test]
    fn a_trace_is_recorded_if_its_flags_say_so() {
        let trace = |flags: &str| format!("00-{}-{}-{flags}", "a".repeat(32), "b".repeat(16));
        assert!(is_recorded(&trace("01")) && is_recorded(&trace("03")));
        assert!(!is_recorded(&trace("00")) && !is_recorded(""));
    }
}
