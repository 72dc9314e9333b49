//! The rules of the sale, and the admission.

use bookingq_core::{Admission, Outflow, SaleRules, SoldOutRule, SoldOutRules, Timestamp};

use super::Unreadable;
use super::ids::item;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RulesWire {
    #[prost(uint64, optional, tag = "1")]
    opens_at: Option<u64>,
    #[prost(message, optional, tag = "2")]
    outflow: Option<OutflowWire>,
    #[prost(string, tag = "3")]
    sold_out: String,
    #[prost(message, repeated, tag = "4")]
    items: Vec<ItemRuleWire>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct OutflowWire {
    #[prost(uint32, optional, tag = "1")]
    per_minute: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    burst: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    max_holds: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ItemRuleWire {
    #[prost(string, tag = "1")]
    item: String,
    #[prost(string, tag = "2")]
    rule: String,
}

impl From<Outflow> for OutflowWire {
    fn from(Outflow { per_minute, burst, max_holds }: Outflow) -> Self {
        Self { per_minute, burst, max_holds }
    }
}

impl From<OutflowWire> for Outflow {
    fn from(OutflowWire { per_minute, burst, max_holds }: OutflowWire) -> Self {
        Self { per_minute, burst, max_holds }
    }
}

impl From<&SaleRules> for RulesWire {
    fn from(rules: &SaleRules) -> Self {
        let named = rules.sold_out.items.iter().map(|(item, rule)| ItemRuleWire {
            item: item.as_ref().to_owned(),
            rule: rule.as_str().to_owned(),
        });
        Self {
            opens_at: rules.opens_at.map(|at| at.0),
            outflow: Some(rules.outflow.into()),
            sold_out: rules.sold_out.default.as_str().to_owned(),
            items: named.collect(),
        }
    }
}

impl TryFrom<RulesWire> for SaleRules {
    type Error = Unreadable;

    fn try_from(wire: RulesWire) -> Result<Self, Unreadable> {
        let named = wire.items.into_iter().map(|one| Ok((item(&one.item)?, rule(&one.rule)?)));
        let items = named.collect::<Result<_, Unreadable>>()?;
        let outflow = wire.outflow.ok_or_else(|| Unreadable::missing("the outflow"))?;
        Ok(Self {
            opens_at: wire.opens_at.map(Timestamp),
            outflow: outflow.into(),
            sold_out: SoldOutRules { default: rule(&wire.sold_out)?, items },
        })
    }
}

fn rule(word: &str) -> Result<SoldOutRule, Unreadable> {
    SoldOutRule::parse(word).ok_or_else(|| Unreadable::unknown("the rule of an item", &word))
}

/// Whether the queue takes and serves bookings.
pub(crate) fn admission(word: &str) -> Result<Admission, Unreadable> {
    Admission::parse(word).ok_or_else(|| Unreadable::unknown("the admission", &word))
}
