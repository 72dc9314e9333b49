//! Our rates divided by those of the best peer, run by run.

use super::measure::RATE;
use super::plan::Work;
use crate::figures::Figures;
use crate::sections::{BEST_PEER, OURS};

/// Works whose rates are compared.
const COMPARED: [Work; 6] =
    [Work::AddOne, Work::Add64, Work::AddBulk, Work::Drain, Work::Drain5ms, Work::Through];

/// Records the ratio for each row of ours.
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
                figures.record(BEST_PEER, &format!("{section}: {row}"), [("times", ratio)]);
            }
        }
    }
}
