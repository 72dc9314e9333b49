//! What a replica does about a claim that is not true of its own state: whose state is the wrong
//! one.
//!
//! The process loads its state again. If that agrees with the claim, the state before was wrong. If
//! it is what it was, the claim is wrong, and the process goes on. If it is a third one, the
//! process cannot be trusted and stops. Each process that goes on says in the log what its own
//! state was, so that one whose state comes out wrong each time finds more processes against it
//! than with it, and stops.

use std::collections::BTreeMap;

use bookingq_queue::StateDigest;

use super::envelope::DigestClaim;

/// What a process knows of claims that are not true of its state. It is no part of the state.
#[derive(Debug, Clone, Default)]
pub(super) struct Disputes {
    /// What the state was where a claim was not true of it, by offset, until it was loaded again
    /// and agrees.
    before: BTreeMap<u64, DigestClaim>,
    /// What each sender claims of the newest digest.
    claims: BTreeMap<u128, StateDigest>,
}

/// What follows from a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparedClaim {
    /// Both states are the same.
    Same,
    /// The other state is wrong. `is_new`: its sender has not said so of this digest before.
    OtherIsWrong { is_new: bool },
    /// One of them is wrong; the state has to be loaded again to know which.
    Unknown,
    /// This process cannot be trusted, for this reason.
    OwnIsWrong(&'static str),
}

impl Disputes {
    /// Remembers what the state was where a claim was not true of it. The state is loaded again.
    pub(super) fn reload(&mut self, own: DigestClaim) {
        self.before.insert(own.position.offset, own);
        self.claims.clear();
    }

    /// Forgets all that came before a newer digest.
    pub(super) fn forget_claims(&mut self) {
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
        let is_new = self.claims.insert(sender, claimed) != Some(claimed);
        let DigestClaim { position, digest } = own;
        let before = self.before.get(&position.offset).filter(|one| one.position == position);
        if claimed == digest {
            if before.is_some_and(|before| before.digest != digest) {
                self.before.remove(&position.offset);
            }
            return ComparedClaim::Same;
        }
        match before {
            None => ComparedClaim::Unknown,
            Some(before) if before.digest != digest => {
                ComparedClaim::OwnIsWrong("and it was a third one before it was loaded again")
            }
            Some(_) if self.against(digest) > self.count(digest).max(1) => {
                ComparedClaim::OwnIsWrong("and more processes say so than say what it is here")
            }
            Some(_) => ComparedClaim::OtherIsWrong { is_new },
        }
    }

    /// Whether a claim about the newest digest is not true of this state.
    pub(super) fn are_open(&self, own: StateDigest) -> bool {
        self.claims.values().any(|claimed| *claimed != own)
    }

    /// Whether no more senders claim what the state is than claim another one.
    pub(super) fn are_undecided(&self, own: StateDigest) -> bool {
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
