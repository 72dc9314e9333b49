//! What `peers` measures, in which order, and how its figures are compared.
#![allow(clippy::unwrap_used)]

use bookingq_bench::figures::Figures;
use bookingq_bench::peers::plan::{Cell, Work, cells, closed_and_open, shuffled};
use bookingq_bench::peers::ratios;
use bookingq_bench::peers::setup::{require, versions};
use bookingq_bench::peers::system::System;
use bookingq_bench::sections::{BEST_PEER, OURS};
use clap::ValueEnum as _;

#[test]
fn every_work_is_done_by_us_and_by_a_peer() {
    for work in Work::value_variants() {
        let cells = cells(System::value_variants(), &[*work]);
        assert!(cells.iter().any(|cell| cell.system == System::Ours), "{work:?}");
        assert!(cells.iter().any(|cell| cell.system != System::Ours), "{work:?}");
    }
}

#[test]
fn no_two_cells_share_a_row() {
    for work in Work::value_variants() {
        let cells = cells(System::value_variants(), &[*work]);
        let mut rows: Vec<_> = cells.iter().map(Cell::row).collect();
        let all = rows.len();
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), all, "{work:?}");
    }
}

#[test]
fn each_run_has_its_order_and_a_seed_repeats_it() {
    let cells = cells(System::value_variants(), Work::value_variants());
    let rows = |seed, run| -> Vec<_> {
        let order = shuffled(&cells, seed, run);
        order.iter().map(|cell| (cell.work.section(), cell.row())).collect()
    };
    assert_eq!(rows(7, 1), rows(7, 1));
    assert_ne!(rows(7, 1), rows(7, 2));
    let (mut one, mut other) = (rows(7, 1), rows(8, 1));
    one.sort();
    other.sort();
    assert_eq!(one, other);
}

#[test]
fn an_open_loop_brings_the_work_that_its_rate_depends_on() {
    assert_eq!(closed_and_open(&[Work::Open]), (vec![Work::Through], vec![Work::Open]));
    assert_eq!(closed_and_open(&[Work::Drain]), (vec![Work::Drain], vec![]));
    assert_eq!(closed_and_open(&[]).0.len(), Work::value_variants().len() - 1);
}

#[test]
fn each_run_is_compared_with_its_own_best_peer() {
    let mut figures = Figures::new(&[Work::Drain.section(), BEST_PEER]);
    for (row, rates) in
        [("asynq, 64", [10.0, 10.0]), ("BullMQ, 1 x 64", [5.0, 20.0]), (OURS, [100.0, 100.0])]
    {
        for rate in rates {
            figures.record(Work::Drain.section(), row, [("jobs/s", rate)]);
        }
    }
    ratios::record(&mut figures);
    assert_eq!(figures.values(BEST_PEER, "Drain, no-op jobs: bookingq", "times"), [10.0, 5.0]);
}

#[test]
fn every_peer_is_pinned() {
    let systems = System::value_variants();
    let versions = versions(systems).unwrap();
    for system in systems.iter().filter(|system| **system != System::Ours) {
        let version = versions[system.name()].as_str().unwrap();
        assert_eq!(version.split('.').count(), 3, "{version}");
    }
    assert!(versions["apalis-redis 1.0"].as_str().unwrap().starts_with("1."));
}

#[test]
fn a_missing_program_is_named_with_a_way_out() {
    let error = require("no-such-program", "it", "asynq").unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("no-such-program") && error.contains("--only"), "{error}");
}
