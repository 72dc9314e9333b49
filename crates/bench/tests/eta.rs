//! The simulated sales of `bench eta`.

use bookingq_bench::eta::promise::{Promise, PromiseScore};
use bookingq_bench::eta::sale::SimulatedSale;
use bookingq_bench::eta::script::{SaleKind, SaleScript};

/// The beginning of a capped sale.
fn sale() -> Vec<Promise> {
    let mut script: SaleScript = SaleKind::Capped.draw(1);
    script.joins.truncate(2000);
    SimulatedSale::run(script, 1)
}

#[test]
fn the_same_seed_gives_the_same_sale_with_promises_that_are_kept() {
    let promises = sale();
    assert_eq!(promises, sale());
    let mut score = PromiseScore::default();
    for promise in &promises {
        if let Some(range) = promise.range {
            score.add(range, promise.waited);
        }
    }
    assert!(score.count() > 100, "{}", score.count());
    assert!(score.kept() > 80.0, "{}", score.kept());
}

#[test]
fn a_score_counts_what_lies_outside_and_what_it_costs() {
    let mut score = PromiseScore::default();
    for waited in [5.0, 15.0, 25.0, 19.0] {
        score.add([10.0, 15.0, 20.0], waited);
    }
    assert_eq!((score.count(), score.kept(), score.below(), score.width()), (4, 75.0, 25.0, 10.0));
    // Errors of 10, 0, 10 and 4 s; beside 20: 15, 5, -5 and 1 s too much.
    let [half, tenth] = score.pinball();
    assert!((half - 3.0).abs() < 1e-9, "{half}");
    assert!((tenth - (1.5 + 0.5 + 4.5 + 0.1) / 4.0).abs() < 1e-9, "{tenth}");
}
