//! The queue as a whole: one reading a second for all who ask.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use bookingq_core::QueueName;
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::frames::admission_word;
use crate::place_json::{
    ItemJson, WaitJson, WaitUnknownJson, rfc3339, seconds, to_json, wait, wait_unknown,
};
use crate::problem::Problem;
use crate::view::LineNow;
use crate::workers::QueueWorkers;

/// How long a reading is shown.
const FRESH: Duration = Duration::from_secs(1);
/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Queue)]
pub struct QueueJson {
    /// Its name.
    pub queue: String,
    /// Its title for people.
    pub title: String,
    /// `open`, `paused` or `closed`.
    pub admission: &'static str,
    /// Number of bookings in the line.
    pub waiting: u64,
    /// Number of bookings that wait for an item that is sold out at the moment.
    pub parked: u64,
    /// Bookings that leave the front of the line each second; 0 while unknown.
    pub rate: f64,
    /// When the sale opens; null if it has opened, or has no opening time.
    pub opens_at: Option<String>,
    /// Seconds until then.
    pub opens_in: Option<u64>,
    /// The queue's clock at this reading.
    pub now: String,
    /// The wait of a client that joins now; null if it is unknown.
    pub wait: Option<WaitJson>,
    /// Why it is unknown.
    pub wait_unknown: Option<WaitUnknownJson>,
    /// Items that are sold out, at the moment or for good.
    pub items: Vec<ItemJson>,
}

impl QueueJson {
    fn new(title: &str, queue: &v1::GetQueueResponse, line: &LineNow) -> Self {
        let (wait, wait_unknown) = wait_at_the_end(queue, line);
        let opens_in = queue.opens_in.as_ref().map(seconds);
        let opens_at = queue.opens_at.as_ref().filter(|_| opens_in.is_some());
        Self {
            queue: queue.queue.clone(),
            title: title.to_owned(),
            admission: admission_word(queue.admission()),
            waiting: queue.backlog,
            parked: queue.parked,
            rate: queue.rate,
            opens_at: opens_at.map(|at| rfc3339(from_timestamp(at))),
            opens_in,
            now: queue.now.as_ref().map(|at| rfc3339(from_timestamp(at))).unwrap_or_default(),
            wait,
            wait_unknown,
            items: queue.items.iter().map(ItemJson::from).collect(),
        }
    }
}

/// The wait behind the last place, as the newest tick says; without a tick, by the rate.
pub(crate) fn wait_at_the_end(
    queue: &v1::GetQueueResponse,
    line: &LineNow,
) -> (Option<WaitJson>, Option<WaitUnknownJson>) {
    if queue.opens_in.is_some() {
        return (None, Some(WaitUnknownJson::NotOpen));
    }
    if queue.admission() != v1::Admission::Open {
        return (None, Some(WaitUnknownJson::Paused));
    }
    let tick = line.tick.as_ref();
    if let Some(last) = tick.and_then(|tick| tick.etas.last()) {
        return (wait(last.eta.as_ref(), last.range.as_ref()), None);
    }
    if let Some(unknown) = tick.and_then(|tick| wait_unknown(tick.eta_unknown())) {
        return (None, Some(unknown));
    }
    if queue.backlog == 0 {
        return (Some(WaitJson { low: 0, expected: 0, high: 0 }), None);
    }
    if queue.rate <= 0.0 {
        return (None, Some(WaitUnknownJson::NoData));
    }
    let expected = (queue.backlog as f64 / queue.rate).ceil() as u64;
    (Some(WaitJson { low: expected / 2, expected, high: expected.saturating_mul(2) }), None)
}

/// A queue as a worker last described it.
#[derive(Debug)]
pub(crate) struct QueueReading {
    /// The answer of GetQueue.
    pub(crate) queue: v1::GetQueueResponse,
    /// What clients see of it.
    json: Bytes,
}

type KeptReading = (Instant, Result<Arc<QueueReading>, Problem>);

/// Reads a queue at most once a second, whatever the number of those that ask.
pub struct QueueReader {
    queue: QueueName,
    title: String,
    workers: QueueWorkers,
    /// Whether it has no workers to ask.
    hibernates: bool,
    last: Mutex<Option<KeptReading>>,
}

impl QueueReader {
    /// For a queue with this title. One that hibernates is closed, and no worker is asked.
    pub fn new(queue: QueueName, title: String, workers: QueueWorkers, hibernates: bool) -> Self {
        Self { queue, title, workers, hibernates, last: Mutex::default() }
    }

    /// The queue as JSON, at most a second old. A failure is kept as long, so that the requests of
    /// an outage do not wait one after the other.
    ///
    /// # Errors
    /// When no worker answers.
    pub async fn json(&self, line: &LineNow) -> Result<Bytes, Problem> {
        Ok(self.read(line).await?.json.clone())
    }

    /// The same reading with all that workers say of the queue.
    pub(crate) async fn read(&self, line: &LineNow) -> Result<Arc<QueueReading>, Problem> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = if self.hibernates {
            Ok(asleep(&self.queue))
        } else {
            let call = v1::GetQueueRequest { queue: self.queue.to_string() };
            self.workers.client().call(call).await.map_err(Problem::from)
        };
        let answer = answer.map(|queue| {
            let json = to_json(&QueueJson::new(&self.title, &queue, line)).into();
            Arc::new(QueueReading { queue, json })
        });
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// What can be said of a queue that hibernates: its line is kept, and not known here.
fn asleep(queue: &QueueName) -> v1::GetQueueResponse {
    v1::GetQueueResponse {
        queue: queue.to_string(),
        admission: v1::Admission::Closed.into(),
        ..Default::default()
    }
}
