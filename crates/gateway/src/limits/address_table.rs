//! A fixed table of addresses with two rate limits each, in 1.6 MB whatever happens.
//!
//! A slot keeps two theoretical arrival times (GCRA): of the limit, and of the hard limit. A slot
//! whose times have passed says nothing any more, and its place is used again. When all slots of a
//! bucket count, the one that has used least of its limit gives way, so a flood of addresses with
//! one request each displaces itself.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::address_rate::AddressRate;
use super::decision::LimitDecision;

/// Slots of one bucket, which has one lock.
const WAYS: usize = 16;
/// 65,536 slots.
const BUCKETS: usize = 4096;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKey {
    /// An IPv4 address.
    V4(u32),
    /// An IPv6 /64: one customer or device, which may change the other half at will.
    Subnet(u64),
    /// An IPv6 /48.
    Site(u64),
}

impl AddressKey {
    /// The keys of an address: its own, and for IPv6 the wider one. An IPv4 address that is written
    /// as IPv6 is IPv4.
    pub fn of(address: IpAddr) -> (Self, Option<Self>) {
        match address.to_canonical() {
            IpAddr::V4(address) => (Self::V4(address.to_bits()), None),
            IpAddr::V6(address) => {
                let high = (address.to_bits() >> 64) as u64;
                (Self::Subnet(high), Some(Self::Site(high >> 16)))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct AddressSlot {
    /// Keyed hash of what is counted; 0 if the slot was never used.
    tag: u64,
    /// Theoretical arrival, in microseconds: the limit.
    soft: u64,
    /// The hard limit.
    hard: u64,
}

/// The table.
#[derive(Debug)]
pub struct AddressTable {
    buckets: Box<[Mutex<[AddressSlot; WAYS]>]>,
    /// With random keys, so that no client chooses its bucket.
    hasher: RandomState,
}

impl Default for AddressTable {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| Mutex::default()).collect();
        Self { buckets, hasher: RandomState::new() }
    }
}

impl AddressTable {
    /// Its size in bytes, which never changes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Counts a request of `key` against the limit, or with a solved challenge against the hard
    /// limit alone. What is not allowed is not counted: clients that are asked for a challenge do
    /// not use up the hard limit of those behind the same address.
    pub fn count(
        &self,
        key: impl Hash,
        [soft, hard]: [AddressRate; 2],
        solved: bool,
        now: Duration,
    ) -> LimitDecision {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX / 2);
        let tag = self.hasher.hash_one(key).max(1);
        let mut bucket = self.buckets[tag as usize % BUCKETS].lock();
        let slot = slot_of(&mut bucket, tag, now);
        let next_hard = match hard.conform(slot.hard, now) {
            Ok(next) => next,
            Err(wait) => {
                return LimitDecision::Refused { retry_after: Duration::from_micros(wait) };
            }
        };
        if !solved {
            match soft.conform(slot.soft, now) {
                Ok(next) => slot.soft = next,
                Err(_) => return LimitDecision::Challenge,
            }
        }
        slot.hard = next_hard;
        LimitDecision::Allowed
    }
}

/// The slot of `tag`, or a fresh one in place of the slot that says least.
fn slot_of(bucket: &mut [AddressSlot; WAYS], tag: u64, now: u64) -> &mut AddressSlot {
    let known = bucket.iter().position(|slot| slot.tag == tag);
    let index = known.unwrap_or_else(|| {
        let used = |slot: &AddressSlot| slot.soft.max(slot.hard).saturating_sub(now);
        (0..WAYS).min_by_key(|&index| used(&bucket[index])).unwrap_or_default()
    });
    let slot = &mut bucket[index];
    if known.is_none() {
        *slot = AddressSlot { tag, ..AddressSlot::default() };
    }
    slot
}
