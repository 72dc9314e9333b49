//! The line as a follower of the outbox sees it: exact positions without a call to the store.
//!
//! A place joins once, leaves once and never comes back, so a replay of joins and leaves from any
//! earlier moment leads to the same line. That makes loading simple: note the newest event, read
//! the line page by page, then replay from that event.

mod boundaries;

use std::collections::VecDeque;

pub use self::boundaries::Segment;
use crate::place::{Lane, Place};

/// A set of places with ranks, O(log n) each: a Fenwick tree over the places between the oldest
/// waiting and the newest.
///
/// Memory: 4 bytes for each place of that range, waiting or not; the part before the front is
/// dropped as it moves on.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// The place of index 0.
    base: u64,
    /// `tree[i]` = how many are present in the (1-based) Fenwick range that ends at `i + 1`.
    tree: Vec<u32>,
    /// Whether the place of each index waits.
    present: Vec<bool>,
    waiting: u64,
    /// No place below this index waits.
    front: usize,
}

/// Places before the front that are tolerated before the tree is rebuilt without them.
const SLACK: usize = 4096;

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of waiting places.
    pub fn len(&self) -> u64 {
        self.waiting
    }

    /// Whether no place waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Adds a place. Does nothing if it waits already, or lies before the dropped part.
    pub fn join(&mut self, place: Place) {
        let Place { lane: Lane::Standard, number } = place;
        if self.tree.is_empty() {
            self.base = number.get();
        }
        let Some(index) = number.get().checked_sub(self.base) else { return };
        let index = index as usize;
        while self.tree.len() <= index {
            self.push_absent();
        }
        if !self.present[index] {
            self.present[index] = true;
            self.front = self.front.min(index);
            self.add(index, 1);
            self.waiting += 1;
        }
    }

    /// Removes a place. Does nothing if it does not wait.
    pub fn leave(&mut self, place: Place) {
        let Some(index) = self.index(place) else { return };
        self.present[index] = false;
        self.add(index, -1);
        self.waiting -= 1;
        while self.front < self.present.len() && !self.present[self.front] {
            self.front += 1;
        }
        if self.front > SLACK && self.front * 2 > self.tree.len() {
            self.drop_front();
        }
    }

    /// 1 = next; `None` when the place does not wait.
    pub fn position(&self, place: Place) -> Option<u64> {
        self.index(place).map(|index| self.prefix(index + 1))
    }

    /// The place at a position (1 = next).
    pub fn at(&self, position: u64) -> Option<Place> {
        if position == 0 || position > self.waiting {
            return None;
        }
        let mut remaining = position;
        let mut index = 0;
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            let next = index + step;
            if next <= self.tree.len() && u64::from(self.tree[next - 1]) < remaining {
                remaining -= u64::from(self.tree[next - 1]);
                index = next;
            }
            step /= 2;
        }
        Some(Place::numbered(self.base + index as u64))
    }

    fn index(&self, place: Place) -> Option<usize> {
        let Place { lane: Lane::Standard, number } = place;
        let index = usize::try_from(number.get().checked_sub(self.base)?).ok()?;
        self.present.get(index).copied().unwrap_or(false).then_some(index)
    }

    /// Appends an absent place: its node holds what its children hold.
    fn push_absent(&mut self) {
        let node = self.tree.len() + 1;
        let mut sum = 0;
        let mut child = 1;
        while child < lowest_bit(node) {
            sum += self.tree[node - child - 1];
            child *= 2;
        }
        self.tree.push(sum);
        self.present.push(false);
    }

    fn add(&mut self, index: usize, change: i32) {
        let mut node = index + 1;
        while node <= self.tree.len() {
            self.tree[node - 1] = self.tree[node - 1].wrapping_add_signed(change);
            node += lowest_bit(node);
        }
    }

    fn prefix(&self, mut node: usize) -> u64 {
        let mut sum = 0;
        while node > 0 {
            sum += u64::from(self.tree[node - 1]);
            node -= lowest_bit(node);
        }
        sum
    }

    fn drop_front(&mut self) {
        let kept: Vec<u64> = (self.front..self.present.len())
            .filter(|&i| self.present[i])
            .map(|i| self.base + i as u64)
            .collect();
        // The end of the range stays, so that a late replay of a leave below it has no effect.
        let end = self.base + self.present.len() as u64;
        let base = self.base + self.front as u64;
        *self = Self { base, ..Self::default() };
        for _ in base..end {
            self.push_absent();
        }
        self.front = self.present.len();
        for number in kept {
            self.join(Place::numbered(number));
        }
    }
}

/// A set of places with ranks for few places far apart, such as those that wait for one item.
///
/// Unlike in a [`Line`], a place may come back.
#[derive(Debug, Clone, Default)]
pub struct PlaceSet {
    /// Ascending. Most changes are at one end.
    places: VecDeque<Place>,
}

impl PlaceSet {
    /// The number of places.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a place, unless it is there.
    pub fn join(&mut self, place: Place) {
        if let Err(index) = self.places.binary_search(&place) {
            self.places.insert(index, place);
        }
    }

    /// Removes a place, if it is there. Returns whether it was.
    pub fn leave(&mut self, place: Place) -> bool {
        let found = self.places.binary_search(&place);
        found.is_ok_and(|index| self.places.remove(index).is_some())
    }

    /// 1 = first; `None` when the place is not there.
    pub fn position(&self, place: Place) -> Option<u64> {
        self.places.binary_search(&place).ok().map(|index| index as u64 + 1)
    }

    /// At most `max` places after `after`, ascending.
    pub fn after(&self, after: Place, max: usize) -> Vec<Place> {
        let start = self.places.partition_point(|place| *place <= after);
        self.places.range(start..).take(max).copied().collect()
    }
}

fn lowest_bit(node: usize) -> usize {
    node & node.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn positions_are_exactly_one_to_n_and_close_up_when_a_place_leaves() {
        let mut line = Line::new();
        for number in 5..15 {
            line.join(Place::numbered(number));
        }
        assert_eq!(line.position(Place::numbered(5)), Some(1));
        assert_eq!(line.position(Place::numbered(14)), Some(10));
        line.leave(Place::numbered(7));
        assert_eq!(line.position(Place::numbered(7)), None);
        assert_eq!(line.position(Place::numbered(8)), Some(3));
        assert_eq!(line.at(3), Some(Place::numbered(8)));
        assert_eq!(line.len(), 9);
    }

    #[test]
    fn a_million_places_passing_through_leave_no_memory_behind() {
        let mut line = Line::new();
        for number in 1..=1_000_000u64 {
            line.join(Place::numbered(number));
            if number > 100 {
                line.leave(Place::numbered(number - 100));
            }
        }
        assert_eq!(line.len(), 100);
        assert_eq!(line.at(1), Some(Place::numbered(999_901)));
        assert!(line.tree.len() < 3 * SLACK, "{}", line.tree.len());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_set(
            steps in prop::collection::vec((any::<bool>(), 1u64..20_000), 0..400)
        ) {
            let mut line = Line::new();
            let mut model = BTreeSet::new();
            line.join(Place::numbered(1));
            line.leave(Place::numbered(1));
            for (joins, number) in steps {
                let place = Place::numbered(number);
                // No place below the dropped part joins: all of them have left.
                if joins && number >= line.base {
                    line.join(place);
                    model.insert(number);
                } else if !joins {
                    line.leave(place);
                    model.remove(&number);
                }
                prop_assert_eq!(line.len(), model.len() as u64);
            }
            for (rank, number) in model.iter().enumerate() {
                prop_assert_eq!(line.position(Place::numbered(*number)), Some(rank as u64 + 1));
                prop_assert_eq!(line.at(rank as u64 + 1), Some(Place::numbered(*number)));
            }
            for (place, position) in line.boundaries() {
                prop_assert_eq!(line.position(place), Some(position));
            }
        }
    }
}
