//! What a replica does about a claim that is not true of its own state: whose state is the wrong
//! one.
//!
//! The process loads its state again. If that agrees with the claim, the state before was wrong. If
//! it is what it was, the claim is wrong, and the process goes on. If it is a third one, the
//! process cannot be trusted and stops. It never stops because others are more: a process that is
//! started again and again speaks each time by another name, so that claims cannot be counted as
//! processes. Each process that goes on says in the log what its own state was.

use std::collections::{BTreeMap, BTreeSet};

use bookingq_queue::StateDigest;

use super::envelope::DigestClaim;

/// Senders whose claims were found wrong that are remembered. With more of them they are all
/// forgotten, which costs each one another load.
const MAX_WRONG: usize = 1000;

/// What a process knows of claims that are not true of its state. It is no part of the state.
#[derive(Debug, Clone, Default)]
pub(super) struct Disputes {
    /// The sender that this process is itself, if it sends.
    own: Option<u128>,
    /// What the state was where a claim was not true of it, by offset, until it was loaded again
    /// and agrees.
    before: BTreeMap<u64, DigestClaim>,
    /// What each sender claims of the newest digest.
    claims: BTreeMap<u128, StateDigest>,
    /// Senders whose newest claim was found wrong.
    wrong: BTreeSet<u128>,
    /// Whether a digest before the newest one was left undecided, and none since was agreed on.
    was_undecided: bool,
}

/// What follows from a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparedClaim {
    /// Both states are the same.
    Same,
    /// This process said so before it loaded its state again.
    Outdated,
    /// The other state is wrong. `is_new`: its sender has not said so of this digest before.
    OtherIsWrong { is_new: bool },
    /// One of them is wrong; the state has to be loaded again to know which.
    Unknown,
    /// This process cannot be trusted, for this reason.
    OwnIsWrong(&'static str),
}

impl Disputes {
    /// Those of a process that sends by this name.
    pub(super) fn of(sender: u128) -> Self {
        Self { own: Some(sender), ..Self::default() }
    }

    /// Forgets all but who this process is: the log holds other records now.
    pub(super) fn forget_all(&mut self) {
        *self = Self { own: self.own, ..Self::default() };
    }

    /// Remembers what the state was where a claim was not true of it. The state is loaded again,
    /// and what was left undecided is read again.
    pub(super) fn reload(&mut self, own: DigestClaim) {
        self.before.insert(own.position.offset, own);
        self.claims.clear();
        self.was_undecided = false;
    }

    /// Ends the claims of a digest, because a newer one follows.
    pub(super) fn end_digest(&mut self, own: StateDigest) {
        if self.are_undecided_now(own) {
            self.was_undecided = true;
        } else if !self.claims.is_empty() && !self.are_open(own) {
            self.was_undecided = false;
        }
        self.claims.clear();
    }

    /// Forgets what was before an offset, which is not read again.
    pub(super) fn forget_below(&mut self, offset: u64) {
        self.before = self.before.split_off(&offset);
    }

    /// Compares what a sender claims of the newest digest with what it is here.
    pub(super) fn compare(
        &mut self,
        sender: u128,
        claimed: StateDigest,
        own: DigestClaim,
    ) -> ComparedClaim {
        let DigestClaim { position, digest } = own;
        if self.own == Some(sender) && claimed != digest {
            return ComparedClaim::Outdated;
        }
        let is_new = self.claims.insert(sender, claimed) != Some(claimed);
        if self.own == Some(sender) {
            return ComparedClaim::Same;
        }
        let before = self.before.get(&position.offset).filter(|one| one.position == position);
        let before = before.map(|before| before.digest);
        if claimed == digest {
            if before.is_some_and(|before| before != digest) {
                self.before.remove(&position.offset);
            }
            self.wrong.remove(&sender);
            return ComparedClaim::Same;
        }
        match before {
            None if !self.wrong.contains(&sender) => return ComparedClaim::Unknown,
            // A claim of what this state was before it was loaded again is wrong as that was.
            Some(before) if before != digest && before != claimed => {
                return ComparedClaim::OwnIsWrong(
                    "and it was a third one before it was loaded again",
                );
            }
            _ => {}
        }
        if self.wrong.len() == MAX_WRONG && !self.wrong.contains(&sender) {
            self.wrong.clear();
        }
        self.wrong.insert(sender);
        ComparedClaim::OtherIsWrong { is_new }
    }

    /// Whether a claim about the newest digest is not true of this state.
    pub(super) fn are_open(&self, own: StateDigest) -> bool {
        self.claims.values().any(|claimed| *claimed != own)
    }

    /// Whether no more senders claim what the state is than claim another one, of the newest digest
    /// or of one before it since which all have not agreed on any.
    pub(super) fn are_undecided(&self, own: StateDigest) -> bool {
        self.was_undecided || self.are_undecided_now(own)
    }

    fn are_undecided_now(&self, own: StateDigest) -> bool {
        self.are_open(own) && self.against(own) >= self.count(own)
    }

    fn count(&self, digest: StateDigest) -> usize {
        self.claims.values().filter(|claimed| **claimed == digest).count()
    }

    /// The most senders that claim one other digest.
    fn against(&self, own: StateDigest) -> usize {
        let others = self.claims.values().filter(|claimed| **claimed != own);
        others.map(|other| self.count(*other)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replicated::log::LogPosition;

    const SELF: u128 = 1;
    const GOOD: StateDigest = StateDigest(10);
    const BAD: StateDigest = StateDigest(20);
    const THIRD: StateDigest = StateDigest(30);

    fn own(digest: StateDigest) -> DigestClaim {
        DigestClaim { position: LogPosition { offset: 16, term: 1 }, digest }
    }

    #[test]
    fn a_process_that_is_healed_is_not_stopped_by_what_was_claimed_of_it_before() {
        let mut disputes = Disputes::of(SELF);
        assert_eq!(disputes.compare(SELF, BAD, own(BAD)), ComparedClaim::Same);
        assert_eq!(disputes.compare(2, GOOD, own(BAD)), ComparedClaim::Unknown);
        disputes.reload(own(BAD));
        assert_eq!(disputes.compare(SELF, BAD, own(GOOD)), ComparedClaim::Outdated);
        let other = disputes.compare(3, BAD, own(GOOD));
        assert_eq!(other, ComparedClaim::OtherIsWrong { is_new: true });
        assert_eq!(disputes.compare(2, GOOD, own(GOOD)), ComparedClaim::Same);
    }

    #[test]
    fn a_third_state_is_that_of_a_process_that_cannot_be_trusted() {
        let mut disputes = Disputes::of(SELF);
        disputes.reload(own(BAD));
        let found = disputes.compare(2, GOOD, own(THIRD));
        assert!(matches!(found, ComparedClaim::OwnIsWrong(_)), "{found:?}");
    }

    #[test]
    fn many_that_are_wrong_stop_no_process_that_is_right() {
        let mut disputes = Disputes::of(SELF);
        assert_eq!(disputes.compare(2, BAD, own(GOOD)), ComparedClaim::Unknown);
        disputes.reload(own(GOOD));
        for sender in 2..20 {
            let found = disputes.compare(sender, BAD, own(GOOD));
            assert_eq!(found, ComparedClaim::OtherIsWrong { is_new: true });
        }
    }

    #[test]
    fn a_sender_that_was_wrong_costs_no_other_load_until_it_was_right() {
        let mut disputes = Disputes::of(SELF);
        disputes.reload(own(GOOD));
        disputes.compare(2, BAD, own(GOOD));
        disputes.end_digest(GOOD);
        let at = |digest| DigestClaim { position: LogPosition { offset: 32, term: 1 }, digest };
        let found = disputes.compare(2, BAD, at(THIRD));
        assert_eq!(found, ComparedClaim::OtherIsWrong { is_new: true });
        assert_eq!(disputes.compare(2, THIRD, at(THIRD)), ComparedClaim::Same);
        assert_eq!(disputes.compare(2, BAD, at(THIRD)), ComparedClaim::Unknown);
    }

    #[test]
    fn what_was_undecided_stays_so_until_all_agree_on_a_digest() {
        let mut disputes = Disputes::default();
        disputes.reload(own(GOOD));
        disputes.compare(2, BAD, own(GOOD));
        disputes.compare(3, GOOD, own(GOOD));
        disputes.end_digest(GOOD);
        assert!(disputes.are_undecided(GOOD), "one against one");
        disputes.end_digest(GOOD);
        assert!(disputes.are_undecided(GOOD), "none has claimed anything since");
        disputes.compare(2, BAD, own(GOOD));
        for sender in [3, 4] {
            disputes.compare(sender, GOOD, own(GOOD));
        }
        disputes.end_digest(GOOD);
        assert!(disputes.are_undecided(GOOD), "one differs still");
        disputes.compare(3, GOOD, own(GOOD));
        disputes.end_digest(GOOD);
        assert!(!disputes.are_undecided(GOOD));
    }
}
