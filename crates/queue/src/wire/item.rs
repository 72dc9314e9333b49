//! An item, without the bookings that wait for it: their records say that.

use std::sync::Arc;

use bookingq_core::{Fence, Generation, Place, Quantity, Timestamp};

use super::Unreadable;
use super::ids::{item, millis, number, quantity, span};
use crate::item::{Item, Probed};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ItemWire {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    unsettled: u64,
    #[prost(uint32, optional, tag = "3")]
    refused: Option<u32>,
    #[prost(uint64, tag = "4")]
    returned: u64,
    #[prost(uint64, tag = "5")]
    credit: u64,
    #[prost(uint64, tag = "6")]
    opened_at: u64,
    #[prost(uint64, tag = "7")]
    probe_at: u64,
    #[prost(uint64, tag = "8")]
    probe_wait_ms: u64,
    #[prost(uint32, tag = "9")]
    probe_next: u32,
    #[prost(uint64, optional, tag = "10")]
    probe: Option<u64>,
    #[prost(bool, tag = "11")]
    ended: bool,
    #[prost(uint64, optional, tag = "12")]
    left: Option<u64>,
}

impl ItemWire {
    pub(crate) fn new(name: &str, item: &Item) -> Self {
        Self {
            name: name.to_owned(),
            unsettled: item.unsettled,
            refused: item.refused.map(Quantity::get),
            returned: item.returned.0,
            credit: item.credit,
            opened_at: item.opened_at.0,
            probe_at: item.probe_at.0,
            probe_wait_ms: millis(item.probe_wait),
            probe_next: match item.probe_next {
                Probed::Place => 0,
                Probed::Smallest => 1,
                Probed::Stray => 2,
            },
            probe: item.probe.map(number),
            ended: item.ended,
            left: item.left,
        }
    }

    pub(crate) fn read(self) -> Result<(Arc<str>, Item), Unreadable> {
        let probe_next = match self.probe_next {
            0 => Probed::Place,
            1 => Probed::Smallest,
            2 => Probed::Stray,
            other => return Err(Unreadable::unknown("the next probe of an item", &other)),
        };
        let found = Item {
            unsettled: self.unsettled,
            refused: self.refused.map(quantity).transpose()?,
            returned: Generation(self.returned),
            credit: self.credit,
            opened_at: Fence(self.opened_at),
            probe_at: Timestamp(self.probe_at),
            probe_wait: span(self.probe_wait_ms),
            probe_next,
            probe: self.probe.map(Place::numbered),
            ended: self.ended,
            left: self.left,
            ..Item::default()
        };
        Ok((item(&self.name)?, found))
    }
}
