//! `eta`: what clients are promised beside how long they wait, in simulated sales.
//!
//! ```text
//!   script (a sale, drawn from a seed) ──> sale (engine, planner, forecaster; virtual time)
//!                                            └──> promise (scores) ──> figures, chart
//! ```

mod chart;
pub mod promise;
pub mod sale;
pub mod script;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::figures::Figures;
use crate::session::{FigureOutput, Session};

use self::promise::{HORIZONS, Promise, PromiseScore, SalePhase};
use self::sale::SimulatedSale;
use self::script::SaleKind;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sales of each kind in each run
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    sales: u64,
    /// Runs; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    runs: u64,
    /// Seed of the first sale: the same seed gives the same figures. The constants of the forecast
    /// were chosen with the seeds 100,001 to 100,016, so sales of those seeds prove nothing
    #[arg(long, default_value_t = 7001, value_name = "N")]
    seed: u64,
    /// Draw promised waits beside true ones
    #[arg(long, value_name = "FILE.svg")]
    chart: Option<PathBuf>,
    #[command(flatten)]
    output: FigureOutput,
}

/// Section: the share of waits within the promised high.
const HORIZON: &str = "P90 kept, % of promises, by promised wait";
/// Section: the same.
const PHASE: &str = "P90 kept, % of promises, by phase of the sale";
/// Section: the forecast beside position / mean pace.
const FORECAST: &str = "Forecast";

/// Simulates, and prints the figures.
pub fn run(args: &Args) -> Result<()> {
    let mut session = Session::start(&args.output, &[HORIZON, PHASE, FORECAST])?;
    println!("{} runs of {} sales of each kind, from seed {}\n", args.runs, args.sales, args.seed);
    let mut drawn = Vec::new();
    let mut pooled = vec![Vec::new(); usize::try_from(args.runs)?];
    for (kind, name) in SaleKind::ALL {
        let mut all = Vec::new();
        for (run, pooled) in (0..).zip(&mut pooled) {
            eprintln!("{name}, run {} of {}", run + 1, args.runs);
            let first = args.seed + run * args.sales;
            let sale = |seed| SimulatedSale::run(kind.draw(seed), seed);
            let promises: Vec<Promise> = (first..first + args.sales).flat_map(sale).collect();
            record(&mut session.figures, name, &promises);
            let served: Vec<_> =
                promises.iter().copied().filter(|promise| promise.served).collect();
            if served.len() < promises.len() {
                record(&mut session.figures, &format!("{name}, served"), &served);
            }
            pooled.extend_from_slice(&promises);
            all.extend(promises);
        }
        drawn.push((name, all));
    }
    for promises in &pooled {
        record(&mut session.figures, "all kinds", promises);
    }
    if let Some(file) = &args.chart {
        let svg = chart::draw(&drawn);
        fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    session.finish(&json!({ "sales": args.sales, "runs": args.runs, "seed": args.seed }))
}

fn record(figures: &mut Figures, name: &str, promises: &[Promise]) {
    let kept = |of: &dyn Fn(&Promise, f64) -> bool| {
        let mut score = PromiseScore::default();
        for promise in promises {
            if let Some(range) = promise.range.filter(|range| of(promise, range[1])) {
                score.add(range, promise.waited);
            }
        }
        // Fewer say little.
        (score.count() >= 100).then(|| score.kept())
    };
    if let Some(all) = kept(&|_, _| true) {
        figures.record(HORIZON, name, [("all", all)]);
    }
    let mut from = 0.0;
    for (to, column) in HORIZONS {
        if let Some(share) = kept(&|_, expected| (from..to).contains(&expected)) {
            figures.record(HORIZON, name, [(column, share)]);
        }
        from = to;
    }
    for (phase, column) in SalePhase::ALL {
        if let Some(share) = kept(&|promise, _| promise.phase == phase) {
            figures.record(PHASE, name, [(column, share)]);
        }
    }
    let (mut range, mut pace) = (PromiseScore::default(), PromiseScore::default());
    for promise in promises {
        // Compared where both promise something.
        if let (Some(waits), Some(mean)) = (promise.range, promise.pace) {
            range.add(waits, promise.waited);
            pace.add([mean; 3], promise.waited);
        }
    }
    for (score, forecast) in [(range, "range"), (pace, "mean pace")] {
        let [half, tenth] = score.pinball();
        let columns = [
            ("P90 kept, %", score.kept()),
            ("below P10, %", score.below()),
            ("P50 error, %", score.error()),
            ("pinball 0.5, s", half),
            ("pinball 0.9, s", tenth),
            ("width, s", score.width()),
            ("promises", score.count() as f64),
        ];
        figures.record(FORECAST, &format!("{name}: {forecast}"), columns);
    }
}
