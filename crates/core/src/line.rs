//! The line as seen by somebody who follows the outbox: exact positions without asking the store.
//!
//! A ticket joins once, leaves once and never comes back, so joins and leaves may be replayed from
//! any earlier moment and still end at the truth. That is what makes loading simple: remember where
//! the outbox stands, read the line in pieces, then replay from there.

use crate::ids::Ticket;

/// A set of tickets with ranks, O(log n) each: a Fenwick tree over the tickets between the oldest
/// waiting and the newest.
///
/// Memory: 4 bytes for each ticket of that range, waiting or not; the part before the front is
/// dropped as it moves on.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// The ticket of index 0.
    base: u64,
    /// `tree[i]` = how many are present in the (1-based) Fenwick range that ends at `i + 1`.
    tree: Vec<u32>,
    /// Whether the ticket of each index waits.
    present: Vec<bool>,
    waiting: u64,
    /// No ticket below this index waits.
    front: usize,
}

/// Tickets before the front that are tolerated before the tree is rebuilt without them.
const SLACK: usize = 4096;

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many wait.
    pub fn len(&self) -> u64 {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// A ticket joins. One that is already there, or lies before a part that was dropped, changes
    /// nothing.
    pub fn join(&mut self, ticket: Ticket) {
        if self.tree.is_empty() {
            self.base = ticket.0;
        }
        let Some(index) = ticket.0.checked_sub(self.base) else { return };
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

    /// A ticket leaves. One that is not there changes nothing.
    pub fn leave(&mut self, ticket: Ticket) {
        let Some(index) = self.index(ticket) else { return };
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

    /// 1 = next; `None` when the ticket does not wait.
    pub fn position(&self, ticket: Ticket) -> Option<u64> {
        self.index(ticket).map(|index| self.prefix(index + 1))
    }

    /// The ticket at a position (1 = next).
    pub fn at(&self, position: u64) -> Option<Ticket> {
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
        Some(Ticket(self.base + index as u64))
    }

    /// At most `count` evenly spread `(ticket, position)` pairs, the front first: from them
    /// anybody's position follows.
    pub fn boundaries(&self, count: u64) -> Vec<(Ticket, u64)> {
        let step = self.waiting.div_ceil(count.max(1)).max(1);
        (1..=self.waiting)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .filter_map(|position| self.at(position).map(|ticket| (ticket, position)))
            .collect()
    }

    fn index(&self, ticket: Ticket) -> Option<usize> {
        let index = usize::try_from(ticket.0.checked_sub(self.base)?).ok()?;
        self.present.get(index).copied().unwrap_or(false).then_some(index)
    }

    /// Appends an absent ticket: its node holds what its children hold.
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
        // The range's end stays, so that a late replay of a leave below it is still recognised as
        // old.
        let end = self.base + self.present.len() as u64;
        let base = self.base + self.front as u64;
        *self = Self { base, ..Self::default() };
        for _ in base..end {
            self.push_absent();
        }
        self.front = self.present.len();
        for ticket in kept {
            self.join(Ticket(ticket));
        }
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
    fn positions_are_exactly_one_to_n_and_close_up_when_someone_leaves() {
        let mut line = Line::new();
        for ticket in 5..15 {
            line.join(Ticket(ticket));
        }
        assert_eq!(line.position(Ticket(5)), Some(1));
        assert_eq!(line.position(Ticket(14)), Some(10));
        line.leave(Ticket(7));
        assert_eq!(line.position(Ticket(7)), None);
        assert_eq!(line.position(Ticket(8)), Some(3));
        assert_eq!(line.at(3), Some(Ticket(8)));
        assert_eq!(line.len(), 9);
    }

    #[test]
    fn a_million_tickets_passing_through_leave_no_memory_behind() {
        let mut line = Line::new();
        for ticket in 1..=1_000_000u64 {
            line.join(Ticket(ticket));
            if ticket > 100 {
                line.leave(Ticket(ticket - 100));
            }
        }
        assert_eq!(line.len(), 100);
        assert_eq!(line.at(1), Some(Ticket(999_901)));
        assert!(line.tree.len() < 3 * SLACK, "{}", line.tree.len());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_set(steps in prop::collection::vec((any::<bool>(), 1u64..20_000), 0..400)) {
            let mut line = Line::new();
            let mut model = BTreeSet::new();
            line.join(Ticket(1));
            line.leave(Ticket(1));
            for (joins, ticket) in steps {
                // A ticket below what was dropped never joins in real life: it left long ago.
                if joins && ticket >= line.base { line.join(Ticket(ticket)); model.insert(ticket); }
                else if !joins { line.leave(Ticket(ticket)); model.remove(&ticket); }
                prop_assert_eq!(line.len(), model.len() as u64);
            }
            for (rank, ticket) in model.iter().enumerate() {
                prop_assert_eq!(line.position(Ticket(*ticket)), Some(rank as u64 + 1));
                prop_assert_eq!(line.at(rank as u64 + 1), Some(Ticket(*ticket)));
            }
            for (ticket, position) in line.boundaries(7) {
                prop_assert_eq!(line.position(ticket), Some(position));
            }
        }
    }
}
