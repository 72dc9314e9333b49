//! Counters whose total is kept elsewhere.

#![allow(clippy::unwrap_used)]

use bookingq_serve::MetricsRegistry;
use bookingq_serve::metrics::set_total;

#[test]
fn a_total_that_goes_back_is_a_counter_reset() {
    let registry = MetricsRegistry::new("bookingqueue", &[("queue", "concert")]).unwrap();
    let counter = registry.counter("enqueued_total", "Enqueued").unwrap();
    for total in [5, 5, 9, 2, 3] {
        set_total(&counter, total);
        let line = format!("bookingqueue_enqueued_total{{queue=\"concert\"}} {total}\n");
        assert!(String::from_utf8(registry.render()).unwrap().contains(&line));
    }
}
