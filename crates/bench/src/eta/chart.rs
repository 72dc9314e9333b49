//! Promised waits beside true ones, as SVG.

use std::fmt::Write as _;

use super::promise::Promise;

/// Side of a panel, and the space around it.
const SIDE: f64 = 260.0;
const MARGIN: f64 = 56.0;
/// Waits from 0.1 s to 1,000 s, on logarithmic axes.
const DECADES: (f64, f64) = (-1.0, 3.0);
const TICKS: [(f64, &str); 5] =
    [(0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (100.0, "100 s"), (1000.0, "1,000 s")];
/// Promises drawn in a panel.
const DOTS: usize = 500;
/// Bins of the promised wait.
const BINS: usize = 16;
const PER_ROW: usize = 3;

/// One panel for each kind of sale: a dot is a promise, at its expected wait (across) and the true
/// one (up). The band is what was promised: from low to high, on average.
pub fn draw(kinds: &[(&str, Vec<Promise>)]) -> String {
    let cell = SIDE + MARGIN;
    let (width, height) = (
        PER_ROW as f64 * cell + MARGIN,
        kinds.len().div_ceil(PER_ROW) as f64 * cell + MARGIN + 20.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\">Promised wait (across) and true wait (up). \
         Band: the promised range, 10 % to 90 %. Red: longer than promised.</text>\n"
    );
    for (index, (name, promises)) in kinds.iter().enumerate() {
        let (column, row) = ((index % PER_ROW) as f64, (index / PER_ROW) as f64);
        let (x, y) = (MARGIN + column * cell, MARGIN + row * cell);
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<g transform=\"translate({x:.0} {y:.0})\">");
        panel(&mut svg, name, promises);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, name: &str, promises: &[Promise]) {
    let known: Vec<([f64; 3], f64)> =
        promises.iter().filter_map(|promise| Some((promise.range?, promise.waited))).collect();
    let _ = writeln!(svg, "<text y=\"-6\" font-size=\"14\">{name}</text>");
    let _ = writeln!(svg, "<path d=\"{}\" fill=\"#cfe0f5\"/>", band(&known));
    let every = known.len().div_ceil(DOTS).max(1);
    for (late, colour) in [(false, "#2a5ea8"), (true, "#c8321e")] {
        let mut dots = String::new();
        for ([_, expected, high], waited) in known.iter().step_by(every) {
            if (waited > high) == late {
                let (x, y) = (along(*expected) - 1.0, SIDE - along(*waited) - 1.0);
                let _ = write!(dots, "M{x:.0} {y:.0}h2v2h-2z");
            }
        }
        let _ = writeln!(svg, "<path d=\"{dots}\" fill=\"{colour}\"/>");
    }
    let _ = writeln!(
        svg,
        "<path d=\"M0 {SIDE}L{SIDE} 0M0 0V{SIDE}H{SIDE}\" fill=\"none\" stroke=\"#888\"/>"
    );
    for (wait, label) in TICKS {
        let at = along(wait);
        let (below, beside) = (SIDE + 16.0, SIDE - at + 4.0);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.0}\" y=\"{below:.0}\" text-anchor=\"middle\" font-size=\"10\">{label}\
             </text><text x=\"-4\" y=\"{beside:.0}\" text-anchor=\"end\" font-size=\"10\">{label}\
             </text>"
        );
    }
}

/// The mean promised range in each bin of the expected wait.
fn band(known: &[([f64; 3], f64)]) -> String {
    let mut bins = vec![Vec::new(); BINS];
    for (range, _) in known {
        let bin = (along(range[1]) / SIDE * BINS as f64) as usize;
        bins[bin.min(BINS - 1)].push(*range);
    }
    let middle = |bin: &Vec<[f64; 3]>, of: usize| {
        let mut waits: Vec<f64> = bin.iter().map(|range| range[of]).collect();
        waits.sort_by(f64::total_cmp);
        along(waits[waits.len() / 2])
    };
    let filled: Vec<_> = bins.iter().filter(|bin| !bin.is_empty()).collect();
    let point =
        |bin: &Vec<[f64; 3]>, of| format!("{:.0} {:.0}", middle(bin, 1), SIDE - middle(bin, of));
    let up = filled.iter().map(|bin| point(bin, 2));
    let points: Vec<String> = up.chain(filled.iter().rev().map(|bin| point(bin, 0))).collect();
    if points.is_empty() { String::new() } else { format!("M{}z", points.join("L")) }
}

/// The place of a wait on an axis.
fn along(wait: f64) -> f64 {
    let (from, to) = DECADES;
    (wait.max(0.1).log10().min(to) - from) / (to - from) * SIDE
}
