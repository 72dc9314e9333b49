//! The comparison of two reports.
#![allow(clippy::unwrap_used)]

use bookingq_bench::compare::{BenchReport, FigureChange, comparison};
use bookingq_bench::figures::Figures;
use bookingq_bench::sections::COUNTED;
use serde_json::json;

fn report(figures: &Figures) -> BenchReport {
    BenchReport(json!({ "figures": figures.json() }))
}

fn drained(ours: [f64; 3], peer: [f64; 3]) -> BenchReport {
    let mut figures = Figures::new(&["Drain"]);
    for (ours, peer) in ours.into_iter().zip(peer) {
        figures.record("Drain", "bookingq, 64", [("jobs/s", ours)]);
        figures.record("Drain", "asynq, 64", [("jobs/s", peer)]);
    }
    report(&figures)
}

#[test]
fn a_slower_machine_is_not_a_slower_program() {
    let before = drained([100.0, 102.0, 98.0], [10.0, 10.2, 9.8]);
    let after = drained([50.0, 51.0, 49.0], [5.0, 5.1, 4.9]);
    let text = comparison(&before, &after).unwrap();
    assert!(text.starts_with("within noise     +0.0 %  Drain: bookingq, 64: jobs/s"), "{text}");
    assert!(!text.contains("asynq"), "{text}");
}

#[test]
fn a_slower_program_is_reported_on_any_machine() {
    let before = drained([100.0, 102.0, 98.0], [10.0, 10.2, 9.8]);
    let after = drained([160.0, 163.0, 157.0], [20.0, 20.4, 19.6]);
    let slower = comparison(&before, &after).unwrap();
    assert!(slower.starts_with("slower          -20.0 %"), "{slower}");
    assert!(slower.contains("1 slower, 0 faster, 0 within noise, 0 too few runs"), "{slower}");
    assert!(comparison(&after, &before).unwrap().starts_with("faster          +25.0 %"));
}

#[test]
fn ranges_that_overlap_are_noise_and_costs_are_better_when_less() {
    let of = |before: &[f64], after: &[f64], column| FigureChange::of(before, after, column, 0.05);
    assert_eq!(of(&[1.0, 1.3, 1.0], &[1.2, 1.2, 1.4], "jobs/s"), FigureChange::WithinNoise);
    assert_eq!(of(&[1.0, 1.1, 1.0], &[1.2, 1.2, 1.4], "jobs/s"), FigureChange::Faster);
    assert_eq!(of(&[1.0, 1.1, 1.0], &[1.2, 1.2, 1.4], "p50 ms"), FigureChange::Slower);
    assert_eq!(of(&[1.0, 1.0], &[9.0, 9.0], "jobs/s"), FigureChange::TooFewRuns);
}

#[test]
fn counts_are_compared_without_a_yardstick_and_more_strictly() {
    let of = |counts: [f64; 3]| {
        let mut figures = Figures::new(&[COUNTED]);
        for count in counts {
            figures.record(COUNTED, "64 in a call", [("Redis instructions/booking", count)]);
        }
        report(&figures)
    };
    let text = comparison(&of([1000.0, 1001.0, 1000.0]), &of([1020.0, 1021.0, 1020.0])).unwrap();
    assert!(text.starts_with("slower           +2.0 %"), "{text}");
}

#[test]
fn a_different_machine_causes_a_warning() {
    let of = |cpu: &str| {
        let mut value = json!({ "machine": { "cpu": cpu }, "settings": { "seed": cpu } });
        value["figures"] = json!({});
        BenchReport(value)
    };
    let text = comparison(&of("old"), &of("new")).unwrap();
    assert!(text.contains("warning: machine was") && !text.contains("settings"), "{text}");
}
