//! The few exact positions of a queue tick, from which each client computes its own.

use super::Line;
use crate::place::Place;

/// Most boundaries of a line.
const BOUNDARIES: usize = 128;
/// Positions at the front that are exact.
const EXACT: u64 = 64;
/// One of them that needs no boundary, since only one place lies between its neighbours. Without
/// the boundary that this saves, the error in a line of a million would be over 16 %.
const BETWEEN: u64 = 63;
/// Boundaries behind the exact positions.
const SPREAD: usize = BOUNDARIES - EXACT as usize + 1;
/// Halvings of the interval in which the relative error is searched.
const HALVINGS: u32 = 40;

impl Line {
    /// At most 128 `(place, position)` pairs, ascending: the first 64 positions, then others up to
    /// the last one, spread so that the largest relative error is as small as possible.
    ///
    /// [`Segment`] computes a position from them. It is never smaller than the true one, exact for
    /// the first 64, and beyond them at most 13 % larger in a line of 100,000 and 16 % in one of a
    /// million.
    pub fn boundaries(&self) -> Vec<(Place, u64)> {
        let place = |position| self.at(position).map(|place| (place, position));
        positions(self.waiting).into_iter().filter_map(place).collect()
    }
}

/// The positions of the boundaries in a line of this length.
fn positions(len: u64) -> Vec<u64> {
    if len <= BOUNDARIES as u64 {
        return (1..=len).collect();
    }
    (1..=EXACT)
        .filter(|position| *position != BETWEEN)
        .chain(spread(len, smallest_error(len)))
        .collect()
}

/// From the exact positions to the end of the line, so that no error is larger than this.
fn spread(len: u64, error: f64) -> impl Iterator<Item = u64> {
    let next = move |position: &u64| (*position < len).then(|| next(*position, error).min(len));
    std::iter::successors(Some(EXACT), next).skip(1)
}

/// The farthest boundary after one at `position`. Between the two, the smallest true position is
/// `position + 1`, and the largest computed one is one less than the result.
fn next(position: u64, error: f64) -> u64 {
    (((position + 1) as f64 * (1.0 + error)) as u64).saturating_add(1)
}

/// The smallest relative error with which the boundaries reach the end of the line.
fn smallest_error(len: u64) -> f64 {
    // With an error of 1, 64 boundaries reach any number.
    let (mut too_small, mut reaches) = (0.0, 1.0);
    // One more than allowed is enough to know: a tiny error would take many steps.
    let suffices = |error| spread(len, error).take(SPREAD + 1).count() <= SPREAD;
    if suffices(too_small) {
        return too_small;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(too_small, reaches);
        if suffices(middle) {
            reaches = middle;
        } else {
            too_small = middle;
        }
    }
    reaches
}

/// The part of the line from one boundary to the next: all that a client needs to compute its
/// position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The place of the boundary.
    pub place: Place,
    /// Its position.
    pub position: u64,
    /// The largest position before the next boundary; `None`: there is no next one.
    pub last: Option<u64>,
}

impl Segment {
    /// The segment of a place; `None` if it lies before the first boundary, where none waits.
    pub fn find(boundaries: &[(Place, u64)], place: Place) -> Option<Self> {
        let after = boundaries.partition_point(|(boundary, _)| *boundary <= place);
        let &(boundary, position) = boundaries.get(after.checked_sub(1)?)?;
        let last = boundaries.get(after).map(|(_, next)| next - 1);
        Some(Self { place: boundary, position, last })
    }

    /// The position of a place in this segment, if it waits: never smaller than the true one.
    pub fn position_of(&self, place: Place) -> u64 {
        let between = place.number.get().saturating_sub(self.place.number.get());
        (self.position.saturating_add(between)).min(self.last.unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines as ascending numbers, with gaps of up to this many places between two that wait.
    fn line(len: impl Strategy<Value = usize>, gap: u64) -> impl Strategy<Value = Vec<u64>> {
        len.prop_flat_map(move |len| prop::collection::vec(1..=gap, len)).prop_map(|gaps| {
            let mut number = 0;
            let place = |gap| {
                number += gap;
                number
            };
            gaps.into_iter().map(place).collect()
        })
    }

    /// Checks every position that a client computes.
    fn check(numbers: &[u64], largest_error: f64) {
        let boundaries: Vec<_> = positions(numbers.len() as u64)
            .into_iter()
            .map(|position| (Place::numbered(numbers[position as usize - 1]), position))
            .collect();
        assert!(boundaries.len() <= 128, "{}", boundaries.len());
        for (index, number) in numbers.iter().enumerate() {
            let (place, actual) = (Place::numbered(*number), index as u64 + 1);
            let shown = Segment::find(&boundaries, place).unwrap().position_of(place);
            let limit = if actual <= 64 { 0.0 } else { largest_error };
            let error = (shown as f64 - actual as f64) / actual as f64;
            assert!((0.0..=limit).contains(&error), "{shown} instead of {actual}");
        }
    }

    #[test]
    fn boundaries_end_with_the_last_place_and_are_exact_in_a_short_line() {
        assert!(positions(0).is_empty());
        for len in [1, 2, 63, 64, 65, 100, 192, 193, 5_000, u64::MAX] {
            let positions = positions(len);
            assert_eq!(positions.last(), Some(&len));
            assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
            assert!(positions.len() <= 128);
        }
        assert!(smallest_error(192) < f64::EPSILON, "every second position is enough");
        assert!(smallest_error(100_000) <= 0.13, "{}", smallest_error(100_000));
        assert!(smallest_error(1_000_000) <= 0.16, "{}", smallest_error(1_000_000));
    }

    #[test]
    fn in_a_line_of_a_million_with_the_worst_gaps_the_error_stays_below_16_percent() {
        // After each boundary a gap that is wider than the segment: every place in the segment is
        // taken for its last one.
        let boundaries = positions(1_000_000);
        let mut number = 0;
        let numbers: Vec<u64> = (1..=1_000_000)
            .map(|position| {
                let after_boundary = boundaries.binary_search(&(position - 1)).is_ok();
                number += if after_boundary { 1_000_000 } else { 1 };
                number
            })
            .collect();
        check(&numbers, 0.16);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn a_computed_position_is_exact_near_the_front_and_never_too_small(
            numbers in line(1..20_000_usize, 30)
        ) {
            check(&numbers, 0.1);
        }

        #[test]
        fn a_line_without_gaps_is_exact_everywhere(numbers in line(1..20_000_usize, 1)) {
            check(&numbers, 0.0);
        }
    }
}
