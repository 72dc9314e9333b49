//! The bookings of a queue, and the sum of their hashes.
//!
//! With the sum, the digest of a whole state costs nothing: each change takes the hash of a booking
//! out of the sum before, and puts the new one in after the command. Only a queue that was asked
//! to [track](Bookings::track) it does that.

use std::collections::{BTreeSet, HashMap};

use bookingq_core::{ClientId, RequestId, Timestamp};

use crate::record::{Record, Slot};
use crate::wire::RecordSum;

/// The newest booking of each client, and the ended ones before it.
#[derive(Debug, Default)]
pub(crate) struct Bookings {
    newest: HashMap<ClientId, Record>,
    /// Ended bookings of clients that have a newer one, by the request that made them, until their
    /// retention ends.
    earlier: HashMap<(ClientId, RequestId), Record>,
    earlier_ends: BTreeSet<(Timestamp, ClientId, RequestId)>,
    /// Without those that are touched; `None`: not tracked.
    sum: Option<RecordSum>,
    /// Clients whose newest booking has changed since its hash was in the sum.
    touched: Vec<ClientId>,
}

impl Bookings {
    pub(crate) fn get(&self, client: &ClientId) -> Option<&Record> {
        self.newest.get(client)
    }

    pub(crate) fn get_mut(&mut self, client: &ClientId) -> Option<&mut Record> {
        let record = self.newest.get_mut(client)?;
        if let Some(sum) = &mut self.sum
            && !record.is_touched
        {
            sum.remove_newest(client, record);
            record.is_touched = true;
            self.touched.push(client.clone());
        }
        Some(record)
    }

    /// Returns the booking that was the client's newest.
    pub(crate) fn insert(&mut self, client: &ClientId, mut record: Record) -> Option<Record> {
        record.is_touched = self.sum.is_some();
        if record.is_touched {
            self.touched.push(client.clone());
        }
        let old = self.newest.insert(client.clone(), record)?;
        Some(self.taken_out(client, old))
    }

    /// Puts back a booking as it was. Returns `false` if its client has one already.
    pub(crate) fn restore(&mut self, client: ClientId, record: Record) -> bool {
        if let Some(sum) = &mut self.sum {
            sum.add_newest(&client, &record);
        }
        self.newest.insert(client, record).is_none()
    }

    pub(crate) fn remove(&mut self, client: &ClientId) -> Option<Record> {
        let old = self.newest.remove(client)?;
        Some(self.taken_out(client, old))
    }

    fn taken_out(&mut self, client: &ClientId, mut old: Record) -> Record {
        if let Some(sum) = &mut self.sum
            && !old.is_touched
        {
            sum.remove_newest(client, &old);
        }
        old.is_touched = false;
        old
    }

    /// Puts the hashes of what a command has changed into the sum.
    pub(crate) fn settle(&mut self) {
        let Some(sum) = &mut self.sum else { return };
        for client in self.touched.drain(..) {
            if let Some(record) = self.newest.get_mut(&client)
                && record.is_touched
            {
                record.is_touched = false;
                sum.add_newest(&client, record);
            }
        }
    }

    /// Sums up from now on.
    pub(crate) fn track(&mut self) {
        self.sum = Some(self.summed_up());
    }

    /// The sum of the hashes of all bookings.
    pub(crate) fn sum(&self) -> u128 {
        let tracked = self.sum.as_ref().filter(|_| self.touched.is_empty());
        tracked.map_or_else(|| self.summed_up().total(), RecordSum::total)
    }

    fn summed_up(&self) -> RecordSum {
        let mut sum = RecordSum::default();
        self.newest.iter().for_each(|(client, record)| sum.add_newest(client, record));
        self.earlier.iter().for_each(|((client, _), record)| sum.add_earlier(client, record));
        sum
    }

    pub(crate) fn len(&self) -> usize {
        self.newest.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&ClientId, &Record)> {
        self.newest.iter()
    }

    pub(crate) fn earlier(&self, client: &ClientId, request: &RequestId) -> Option<&Record> {
        self.earlier.get(&(client.clone(), request.clone()))
    }

    /// Keeps an ended booking for the rest of its retention. Returns `false`, and keeps the one
    /// before, if the client has one of the same request already.
    pub(crate) fn keep_earlier(&mut self, client: &ClientId, old: Record) -> bool {
        let Slot::Final(forget) = old.slot else { return false };
        let key = (client.clone(), old.request.clone());
        if self.earlier.contains_key(&key) {
            return false;
        }
        if let Some(sum) = &mut self.sum {
            sum.add_earlier(client, &old);
        }
        self.earlier_ends.insert((forget, key.0.clone(), key.1.clone()));
        self.earlier.insert(key, old);
        true
    }

    /// Drops ended bookings whose retention has ended.
    pub(crate) fn forget_earlier(&mut self, now: Timestamp) {
        while self.earlier_ends.first().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, client, request)) = self.earlier_ends.pop_first()
        {
            let old = self.earlier.remove(&(client.clone(), request));
            if let (Some(sum), Some(old)) = (&mut self.sum, old) {
                sum.remove_earlier(&client, &old);
            }
        }
    }

    pub(crate) fn earlier_len(&self) -> usize {
        self.earlier.len()
    }

    pub(crate) fn all_earlier(&self) -> impl Iterator<Item = (&ClientId, &Record)> {
        self.earlier.iter().map(|((client, _), record)| (client, record))
    }
}
