//! Figures as tables and JSON.

use bookingq_bench::figures::{Figures, Spread};

#[test]
fn a_figure_is_the_median_with_its_range() {
    assert_eq!(Spread::of(&[30.0, 10.0, 20.0]).to_string(), "20.0 (10.0–30.0)");
    assert_eq!(Spread::of(&[1.0, 2.0]).to_string(), "1.50 (1.00–2.00)");
    assert_eq!(Spread::of(&[1234.5]).to_string(), "1234 (1234–1234)");
}

#[test]
fn an_announced_row_keeps_its_place() {
    let mut figures = Figures::new(&["store"]);
    for row in ["first", "second", "never"] {
        figures.announce("store", row);
    }
    figures.record("store", "second", [("a", 1.0)]);
    figures.record("store", "first", [("a", 1.0)]);
    assert_eq!(figures.rows("store"), ["first", "second"]);
    assert_eq!(figures.values("store", "second", "a"), [1.0]);
}

#[test]
fn rows_and_sections_come_in_the_order_they_were_recorded() {
    let mut figures = Figures::new(&["store", "gRPC"]);
    for run in [1.0, 3.0, 2.0] {
        figures.record("store", "batch 64", [("bookings/s", run)]);
        figures.record("store", "batch 1", [("bookings/s", 10.0 * run)]);
    }
    figures.announce("gRPC", "nothing known");
    figures.record("gRPC", "bare", [("p50 ms", 0.25)]);
    figures.record("gRPC", "worker", [("p50 ms", 0.5), ("Redis µs", 7.0)]);
    let table = figures.table();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[1], "batch 64  2.00 (1.00–3.00)");
    assert_eq!(lines[2], "batch 1   20.0 (10.0–30.0)");
    assert!(lines[5].starts_with("bare ") && lines[5].ends_with(" –"), "{}", lines[5]);
    assert_eq!(figures.json()["store"]["batch 1"]["bookings/s"]["max"], 30.0);
}
