//! What clients want, and what they learned of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bookingq_core::{Quantity, Timestamp};
use serde::{Serialize, Serializer};

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wanted {
    /// The item.
    pub item: Arc<str>,
    /// How many.
    pub quantity: Quantity,
}

/// What the clients learned that want the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CrowdDemand {
    /// Clients that got a place in line.
    pub clients: u64,
    /// Those that wait at the moment because the item is sold out at the moment.
    pub parked: u64,
    /// When they learned that it is sold out for good, by their clock, unless they had paid late.
    #[serde(rename = "sold_out", serialize_with = "count")]
    pub sold_out_at: Vec<Timestamp>,
}

fn count<S: Serializer>(times: &[Timestamp], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(times.len() as u64)
}

/// As a list of objects.
pub(crate) fn as_list<S: Serializer>(
    demand: &BTreeMap<Wanted, CrowdDemand>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct DemandRow<'a> {
        #[serde(flatten)]
        wanted: &'a Wanted,
        #[serde(flatten)]
        demand: &'a CrowdDemand,
    }
    serializer.collect_seq(demand.iter().map(|(wanted, demand)| DemandRow { wanted, demand }))
}
