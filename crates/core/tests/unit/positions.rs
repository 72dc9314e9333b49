//! The positions that clients compute from a tick, as test vectors for every language.
//! `BLESS=1 cargo test -p bookingq-core --test unit` writes the file.

use std::fmt::Write as _;
use std::path::PathBuf;

use bookingq_core::Place;
use bookingq_core::line::{Line, Segment};

const ABOUT: &str = "Positions that clients compute from the boundaries of a QueueTick. `segment` is \
                     [number, position, last] of the boundary before the client, `last` the largest \
                     position before the next boundary, or null. position = min(position + \
                     client's number - number, last). No segment: the client is not in the line. \
                     `actual` is the true position, or null for a client that does not wait.";

/// A line: from each gap follows the next number that waits.
fn line(gaps: impl IntoIterator<Item = u64>) -> (Line, Vec<u64>) {
    let (mut line, mut numbers, mut number) = (Line::new(), Vec::new(), 1_000);
    for gap in gaps {
        number += gap;
        line.join(Place::numbered(number));
        numbers.push(number);
    }
    (line, numbers)
}

/// Gaps as if a third had left, the same in each run.
fn uneven(len: usize) -> impl Iterator<Item = u64> {
    let mut state = 7_u64;
    (0..len).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        [1, 1, 1, 1, 2, 2, 3, 9][(state >> 61) as usize]
    })
}

fn json<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// One line of the file for each client.
fn vectors(name: &str, (line, numbers): &(Line, Vec<u64>)) -> String {
    let boundaries = line.boundaries();
    let pairs = boundaries.iter().map(|(place, position)| format!("[{},{position}]", place.number));
    let mut text = format!(
        "  {{\n    \"name\": \"{name}\",\n    \"boundaries\": [{}],\n    \"clients\": [\n",
        pairs.collect::<Vec<_>>().join(",")
    );
    let (first, last) = (numbers.first().unwrap_or(&5), numbers.last().unwrap_or(&5));
    let step = (numbers.len() / 40).max(1);
    let near = numbers.iter().copied().take(4).chain(numbers.iter().copied().skip(62).take(6));
    let spread = numbers.iter().copied().step_by(step);
    let outside = [first - 1, last + 1, last + 10];
    let mut asked: Vec<u64> = near.chain(spread).chain(outside).chain([*last]).collect();
    asked.sort_unstable();
    asked.dedup();
    let clients = asked.into_iter().map(|number| {
        let place = Place::numbered(number);
        let segment = Segment::find(&boundaries, place);
        let position = segment.map(|segment| segment.position_of(place));
        let segment = segment.map(|Segment { place, position, last }| {
            format!("[{},{position},{}]", place.number, json(last))
        });
        format!(
            "      {{\"number\": {number}, \"segment\": {}, \"position\": {}, \"actual\": {}}}",
            json(segment),
            json(position),
            json(line.position(place))
        )
    });
    let _ = write!(text, "{}\n    ]\n  }}", clients.collect::<Vec<_>>().join(",\n"));
    text
}

#[test]
fn the_test_vectors_of_positions_are_up_to_date() {
    let lines = [
        vectors("an empty line", &line([])),
        vectors("one client", &line([1])),
        vectors("ten clients without gaps", &line([1; 10])),
        vectors("100 clients with gaps", &line(uneven(100))),
        vectors("1,000 clients with gaps", &line(uneven(1_000))),
        vectors("100,000 clients with gaps", &line(uneven(100_000))),
    ];
    let text = format!("{{\n\"about\": \"{ABOUT}\",\n\"lines\": [\n{}\n]}}\n", lines.join(",\n"));
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/positions.json"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{} is outdated; BLESS=1 writes it", path.display());
}
