//! How the sale is shown: its opening, its outflow, and items that are sold out.

use std::fmt;

use bookingq_core::Outflow;
use bookingq_proto::v1;
use serde::Serialize;

/// An item, with the field names of the contract.
#[derive(Debug, PartialEq, Serialize)]
pub struct ItemOutput {
    item: String,
    availability: &'static str,
    sold_out_from: i32,
    unsettled: u64,
    waiting: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
}

impl From<v1::ItemStatus> for ItemOutput {
    fn from(status: v1::ItemStatus) -> Self {
        let availability = match status.availability() {
            v1::ItemAvailability::Unspecified => "unknown",
            v1::ItemAvailability::Open => "open",
            v1::ItemAvailability::SoldOutAtTheMoment => AT_THE_MOMENT,
            v1::ItemAvailability::SoldOut => "sold_out",
        };
        Self {
            availability,
            item: status.item,
            sold_out_from: status.sold_out_from,
            unsettled: status.unsettled,
            waiting: status.waiting,
            left: status.left,
        }
    }
}

const AT_THE_MOMENT: &str = "sold_out_at_the_moment";

impl ItemOutput {
    /// What a client who waits for it should know.
    pub fn explain(&self) -> String {
        match (self.availability, self.unsettled) {
            (AT_THE_MOMENT, 1) => "sold out at the moment; 1 reservation is unpaid".to_owned(),
            (AT_THE_MOMENT, unpaid) => {
                format!("sold out at the moment; {unpaid} reservations are unpaid")
            }
            (other, _) => other.replace('_', " "),
        }
    }
}

impl fmt::Display for ItemOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", item_name(&self.item), self.explain())?;
        if self.sold_out_from > 1 {
            write!(f, ", from {} on", self.sold_out_from)?;
        }
        if self.waiting > 0 {
            write!(f, ", {} wait", self.waiting)?;
        }
        match self.left {
            Some(left) => write!(f, ", {left} left"),
            None => Ok(()),
        }
    }
}

/// How an item is called.
pub fn item_name(item: &str) -> &str {
    if item.is_empty() { "the item without a name" } else { item }
}

/// The limits in words; `None` when there is none.
pub fn outflow_words(outflow: &Outflow) -> Option<String> {
    let per_minute = outflow.per_minute.map(|limit| format!("{limit} a minute"));
    let burst = outflow.burst.map(|limit| format!("{limit} at once"));
    let max_holds = outflow.max_holds.map(|limit| format!("{limit} held"));
    let words: Vec<String> = [per_minute, burst, max_holds].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}
