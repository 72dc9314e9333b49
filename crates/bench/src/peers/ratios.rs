//! Ours beside the best of the others, run by run.

use super::measure::RATE;
use super::plan::Work;
use super::system::OURS;
use crate::figures::Figures;

/// The section they are in.
pub const SECTION: &str = "Compared with the best peer of the same run";

/// Works whose rates are compared.
const COMPARED: [Work; 6] =
    [Work::AddOne, Work::Add64, Work::AddBulk, Work::Drain, Work::Drain5ms, Work::Through];

/// Records how many times the best peer's rate each row of ours has.
pub fn record(figures: &mut Figures) {
    for work in COMPARED {
        let section = work.section();
        let (ours, peers): (Vec<_>, Vec<_>) = figures
            .rows(section)
            .into_iter()
            .map(str::to_owned)
            .partition(|row| row.starts_with(OURS));
        for row in ours {
            for run in 0..figures.values(section, &row, RATE).len() {
                let rates =
                    peers.iter().filter_map(|peer| figures.values(section, peer, RATE).get(run));
                let Some(best) = rates.copied().max_by(f64::total_cmp) else { continue };
                let ratio = figures.values(section, &row, RATE)[run] / best;
                figures.record(SECTION, &format!("{section}: {row}"), [("times", ratio)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_compared_with_its_own_best_peer() {
        let mut figures = Figures::new(&[Work::Drain.section(), SECTION]);
        for (row, rates) in
            [("asynq, 64", [10.0, 10.0]), ("BullMQ, 1 x 64", [5.0, 20.0]), (OURS, [100.0, 100.0])]
        {
            for rate in rates {
                figures.record(Work::Drain.section(), row, [(RATE, rate)]);
            }
        }
        record(&mut figures);
        assert_eq!(figures.values(SECTION, "Drain, no-op jobs: bookingq", "times"), [10.0, 5.0]);
    }
}
