//! What has been seen of a queue's data, to notice that it is other data now, or the same as it was
//! some time ago.
//!
//! Each script that changes something numbers its outbox entry, and the numbers only grow. Who has
//! seen a number and later finds a lower one looks at data that was set back: after a failover to a
//! replica that lagged, from a restored copy, from a disk that had not kept the last second.
//! Nothing else tells, since such data is sound in itself.

use std::sync::Arc;

use parking_lot::Mutex;

/// Shared by all calls of one store.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    epoch: Option<String>,
    /// How often the data became other data. What was read before that is not compared with what
    /// came after it.
    lives: u64,
    /// The highest number of an outbox entry.
    newest: u64,
    set_back: bool,
}

/// How far the data had come when a call was sent: its answer shows at least that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    life: u64,
    number: u64,
}

impl Mark {
    /// The same for somebody who goes on behind the entry of this number.
    pub(super) fn at(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// Number of the newest entry that was there.
    pub(super) fn number(self) -> u64 {
        self.number
    }
}

impl Known {
    /// To be taken before a call is sent.
    pub(super) fn mark(&self) -> Mark {
        let inner = self.inner.lock();
        Mark { life: inner.lives, number: inner.newest }
    }

    /// Takes what the answer to a call shows: that entries up to this number are there. Returns
    /// whether the data was set back since it was opened.
    pub(super) fn shows(&self, number: u64, mark: Mark) -> bool {
        let mut inner = self.inner.lock();
        if mark.life == inner.lives {
            inner.set_back |= number < mark.number;
            inner.newest = inner.newest.max(number);
        }
        inner.set_back
    }

    /// The epoch that needs another name, since its data was set back.
    pub(super) fn outdated(&self) -> Option<String> {
        let inner = self.inner.lock();
        inner.epoch.clone().filter(|_| inner.set_back)
    }

    /// Takes what opening has found. Returns whether the data is another than at the last opening.
    pub(super) fn opened(&self, epoch: &str) -> bool {
        let mut inner = self.inner.lock();
        let another = inner.epoch.as_deref().is_some_and(|before| before != epoch);
        if another || inner.set_back {
            *inner = Inner { lives: inner.lives + 1, ..Inner::default() };
        }
        inner.epoch = Some(epoch.to_owned());
        another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_shows_less_than_was_there_when_it_was_asked_for_was_set_back() {
        let known = Known::default();
        known.opened("a");
        assert!(!known.shows(5, known.mark()));
        // Sent before the next answer, and come after it.
        let slow = known.mark();
        assert!(!known.shows(9, known.mark()));
        assert!(!known.shows(6, slow));
        assert_eq!(known.outdated(), None);
        assert!(known.shows(8, known.mark()));
        assert_eq!(known.outdated().as_deref(), Some("a"));
        assert!(known.shows(20, known.mark()), "until it is opened again");
    }

    #[test]
    fn what_was_seen_of_other_data_is_compared_with_nothing() {
        let known = Known::default();
        known.opened("a");
        known.shows(100, known.mark());
        let (before, behind) = (known.mark(), known.mark().at(50));
        assert!(known.shows(50, known.mark()));
        assert!(known.opened("b"));
        for mark in [before, behind, before.at(200), known.mark()] {
            assert!(!known.shows(60, mark));
        }
        assert!(!known.opened("b"));
        assert!(known.shows(59, known.mark()), "this one is still compared");
    }
}
