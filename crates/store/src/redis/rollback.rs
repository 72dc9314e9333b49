//! Detects data that was replaced, or set back to an earlier state.
//!
//! Each script that changes something numbers its outbox entry, and the numbers only grow. A lower
//! number than one known before means that the data was set back: by a failover to a replica that
//! lagged, by a restored backup, by a disk that lost the last second. Such data is sound in itself,
//! so nothing else gives it away. When the numbers have grown past the known one again, the id of
//! the entry shows it: each new connection looks for the newest entry that this store knows.

use parking_lot::Mutex;

/// Compares the answers of one store with each other.
#[derive(Debug, Default)]
pub(super) struct RollbackDetector {
    seen: Mutex<SeenData>,
}

#[derive(Debug, Default)]
struct SeenData {
    epoch: Option<String>,
    /// Counts replacements of the data. Answers of different generations are not compared.
    generation: u64,
    /// The highest number of an outbox entry.
    newest: u64,
    /// The newest entry of which the id is known, too.
    newest_entry: Option<EntryMark>,
    set_back: bool,
}

/// An entry of the outbox: its number, and its id, which no other entry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryMark {
    /// Counts entries without holes.
    pub(super) number: u64,
    /// `<ms>-<part>`.
    pub(super) id: Box<str>,
}

impl EntryMark {
    /// Reads `<number> <id>`, as a script answers.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, id) = text.split_once(' ')?;
        Some(Self { number: number.parse().ok()?, id: id.into() })
    }
}

/// The newest outbox entry at the time when a call is sent: its answer must show at least that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermark {
    generation: u64,
    /// The number of the entry.
    pub(super) number: u64,
}

impl Watermark {
    /// The watermark of a follower that has read up to the entry `number`.
    pub(super) fn at(self, number: u64) -> Self {
        Self { number, ..self }
    }
}

impl RollbackDetector {
    /// Takes the watermark of a call, before it is sent.
    pub(super) fn watermark(&self) -> Watermark {
        let seen = self.seen.lock();
        Watermark { generation: seen.generation, number: seen.newest }
    }

    /// Records that the answer to a call shows entries up to `number`. Returns whether the data was
    /// set back since it was opened.
    pub(super) fn observe(&self, number: u64, watermark: Watermark) -> bool {
        let mut seen = self.seen.lock();
        if watermark.generation == seen.generation {
            seen.set_back |= number < watermark.number;
            seen.newest = seen.newest.max(number);
        }
        seen.set_back
    }

    /// Records the entry that a call has written: it comes after all that were known when the call
    /// was sent.
    pub(super) fn wrote(&self, entry: EntryMark, watermark: Watermark) {
        self.observe(entry.number.saturating_sub(1), watermark);
        self.know(entry, watermark);
    }

    /// Records an entry that was written or read.
    pub(super) fn know(&self, entry: EntryMark, watermark: Watermark) {
        let mut seen = self.seen.lock();
        if watermark.generation == seen.generation {
            seen.newest = seen.newest.max(entry.number);
            if seen.newest_entry.as_ref().is_none_or(|known| known.number < entry.number) {
                seen.newest_entry = Some(entry);
            }
        }
    }

    /// The entry that a new connection must find.
    pub(super) fn newest_entry(&self) -> Option<EntryMark> {
        self.seen.lock().newest_entry.clone()
    }

    /// Records that a new connection does not find the newest entry, known when the call was sent.
    pub(super) fn lost(&self, watermark: Watermark) {
        let mut seen = self.seen.lock();
        seen.set_back |= watermark.generation == seen.generation;
    }

    /// Returns the epoch that needs a new name because its data was set back.
    pub(super) fn outdated_epoch(&self) -> Option<String> {
        let seen = self.seen.lock();
        seen.epoch.clone().filter(|_| seen.set_back)
    }

    /// Records the epoch that opening has found. Returns whether it differs from the last one.
    /// A set-back that was noticed meanwhile stays, so that the next opening replaces the epoch.
    pub(super) fn open(&self, epoch: &str) -> bool {
        let mut seen = self.seen.lock();
        let changed = seen.epoch.as_deref().is_some_and(|before| before != epoch);
        if changed {
            *seen = SeenData { generation: seen.generation + 1, ..SeenData::default() };
        }
        seen.epoch = Some(epoch.to_owned());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_below_its_watermark_was_set_back() {
        let detector = RollbackDetector::default();
        detector.open("a");
        assert!(!detector.observe(5, detector.watermark()));
        // Sent before the next answer, and answered after it.
        let slow = detector.watermark();
        assert!(!detector.observe(9, detector.watermark()));
        assert!(!detector.observe(6, slow));
        assert_eq!(detector.outdated_epoch(), None);
        assert!(detector.observe(8, detector.watermark()));
        assert_eq!(detector.outdated_epoch().as_deref(), Some("a"));
        assert!(detector.observe(20, detector.watermark()), "until the data is opened again");
    }

    #[test]
    fn a_set_back_that_is_noticed_while_the_data_is_opened_is_not_forgotten() {
        let detector = RollbackDetector::default();
        detector.open("a");
        assert_eq!(detector.outdated_epoch(), None);
        detector.lost(detector.watermark());
        assert!(!detector.open("a"));
        assert_eq!(detector.outdated_epoch().as_deref(), Some("a"));
    }

    #[test]
    fn answers_of_another_generation_are_not_compared() {
        let detector = RollbackDetector::default();
        detector.open("a");
        detector.observe(100, detector.watermark());
        let before = detector.watermark();
        assert!(detector.observe(50, before));
        assert!(detector.open("b"));
        for number in [50, before.number, 200] {
            assert!(!detector.observe(60, before.at(number)));
        }
        assert!(!detector.observe(60, detector.watermark()));
        assert!(!detector.open("b"));
        assert!(detector.observe(59, detector.watermark()), "this one is still compared");
    }
}
