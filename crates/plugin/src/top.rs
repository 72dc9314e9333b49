//! `kubectl bookingqueue top`: all queues of a namespace, one line each.

use bookingq_api::BookingQueue;
use bookingq_core::Admission;
use kube::ResourceExt as _;

const HEAD: [&str; 9] = [
    "QUEUE",
    "READY",
    "ADMISSION",
    "LINE",
    "FIRST WAITS",
    "IN FLIGHT",
    "HOLDS",
    "PARKED",
    "WORKERS",
];

/// The table, longest line first.
pub fn table(queues: &[BookingQueue]) -> String {
    let mut queues: Vec<_> = queues.iter().collect();
    let line = |queue: &BookingQueue| queue.status.as_ref().and_then(|status| status.backlog);
    queues.sort_by_key(|queue| (std::cmp::Reverse(line(queue)), queue.name_any()));
    let rows: Vec<[String; 9]> = queues.into_iter().map(row).collect();
    let head = HEAD.map(str::to_owned);
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|at| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let shown = |row: &[String; 9]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    [&head].into_iter().chain(&rows).map(shown).collect()
}

fn row(queue: &BookingQueue) -> [String; 9] {
    let status = queue.status.clone().unwrap_or_default();
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let ready = status.condition("Ready");
    [
        queue.name_any(),
        ready.map_or("-".to_owned(), |ready| ready.status.clone()),
        Admission::from(queue.spec.admission).as_str().to_owned(),
        number(status.backlog),
        status.oldest_wait.unwrap_or_else(|| "-".to_owned()),
        number(status.in_flight),
        number(status.holds),
        number(status.parked),
        status.replicas.to_string(),
    ]
}
