//! The sale of a run: its items with their stock, and its rules. Drawn from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{Outflow, Quantity, SaleRules, SoldOutRule, SoldOutRules, Timestamp};
use bookingq_crowd::Weights;
use bookingq_sim::spec::Scheduled;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Each item with its share of the clients in percent, and what it means when it is sold out.
const ITEMS: [(&str, u32, SoldOutRule); 3] = [
    ("stalls", 60, SoldOutRule::Wait),
    ("balcony", 30, SoldOutRule::Wait),
    ("boxes", 10, SoldOutRule::End),
];
/// How many each client wants, by weight.
const QUANTITIES: [(i32, u32); 4] = [(1, 5), (2, 3), (3, 1), (4, 1)];
/// Latest opening after the start of the run.
const OPENS_WITHIN_MS: u64 = 4000;

/// How much there is to sell.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct StockOptions {
    /// Tickets of each item, in percent of what the clients want; below 100, items are sold out too
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub stock: u64,
    /// No other channel gives tickets back during the run, so a refusal may end an item at any time
    #[arg(long)]
    pub no_returns: bool,
}

/// What is sold, and by which rules.
#[derive(Debug, Clone)]
pub struct Sale {
    /// Tickets of each item.
    pub stock: BTreeMap<Arc<str>, u64>,
    /// Tickets that another channel gives back during the run.
    pub returns: Vec<Scheduled>,
    /// The rules.
    pub rules: SaleRules,
}

impl Sale {
    /// A sale to this many clients that arrive within `time` from `start` on.
    pub fn draw(
        seed: u64,
        stock: StockOptions,
        clients: u32,
        time: Duration,
        start: Timestamp,
    ) -> Self {
        let StockOptions { stock: percent, no_returns } = stock;
        // Apart from the faults, so that these do not depend on it.
        let mut rng = SmallRng::seed_from_u64(!seed);
        let (weight, wanted) =
            QUANTITIES.iter().fold((0, 0), |(weight, wanted), (quantity, of)| {
                (weight + u64::from(*of), wanted + u64::from(*of * quantity.unsigned_abs()))
            });
        let tickets =
            |share| u64::from(clients) * u64::from(share) * wanted * percent / weight / 10_000;
        let stock = ITEMS.map(|(item, share, _)| (Arc::from(item), tickets(share)));
        let rules = ITEMS.map(|(item, _, rule)| (Arc::from(item), rule));
        // Less than what wants to be served in a minute, so that a broken limit shows.
        let per_minute = f64::from(clients) / time.as_secs_f64().max(60.0) * 60.0;
        let outflow = Outflow {
            per_minute: rng.random_bool(0.5).then(|| (per_minute * 0.7) as u32 + 10),
            burst: None,
            max_holds: rng.random_bool(0.3).then(|| (per_minute / 60.0 * 3.0) as u32 + 10),
        };
        let returns = ITEMS.iter().flat_map(|(item, ..)| [0.3, 0.9].map(|part| (*item, part)));
        let returns = returns.map(|(item, part)| Scheduled {
            item: Arc::from(item),
            quantity: rng.random_range(1..9),
            after: time.mul_f64(part),
        });
        let mut returns: Vec<_> = returns.collect();
        // Drawn all the same, so that what is drawn after them stays the same.
        if no_returns {
            returns.clear();
        }
        let opens_at = Duration::from_millis(rng.random_range(0..OPENS_WITHIN_MS));
        let sold_out = SoldOutRules { items: rules.into(), ..SoldOutRules::default() };
        let rules = SaleRules { opens_at: Some(start + opens_at), outflow, sold_out };
        Self { stock: stock.into(), returns, rules }
    }
}

/// The items.
pub fn names() -> impl Iterator<Item = Arc<str>> {
    ITEMS.into_iter().map(|(item, ..)| Arc::from(item))
}

/// The items that clients want, by weight.
pub fn items() -> Weights<Arc<str>> {
    Weights::new(ITEMS.map(|(item, share, _)| (Arc::from(item), share)))
}

/// How many they want, by weight.
pub fn quantities() -> Weights<Quantity> {
    let known =
        QUANTITIES.into_iter().filter_map(|(of, weight)| Some((Quantity::new(of).ok()?, weight)));
    Weights::new(known)
}
