//! The rules of a sale and the states of its items, as the scripts take and return them.

use std::collections::HashMap;
use std::sync::Arc;

use ::redis::{Cmd, Value, from_redis_value_ref};
use bookingq_core::{
    ItemState, Outflow, Quantity, SaleRules, SoldOutRule, SoldOutRules, Timestamp,
};

use crate::{Result, StoreError};

/// Field of the rule of items without one of their own; with a colon and an item, that of the item.
const SOLD_OUT: &str = "sold_out";

/// Adds the fields of the rules and their values.
pub(super) fn push_rules(rules: &SaleRules, call: &mut Cmd) {
    let SaleRules { opens_at, outflow, sold_out } = rules;
    if let Some(opens_at) = opens_at {
        call.arg("opens_at").arg(opens_at.0);
    }
    push_outflow(*outflow, call);
    call.arg(SOLD_OUT).arg(sold_out.default.as_str());
    for (item, rule) in &sold_out.items {
        call.arg(format!("{SOLD_OUT}:{item}")).arg(rule.as_str());
    }
}

/// Adds the limits of the outflow that there are.
pub(super) fn push_outflow(outflow: Outflow, call: &mut Cmd) {
    let Outflow { per_minute, burst, max_holds } = outflow;
    for (field, number) in [("per_minute", per_minute), ("burst", burst), ("max_holds", max_holds)]
    {
        if let Some(number) = number {
            call.arg(field).arg(number);
        }
    }
}

/// Reads the rules from the fields of `booking-meta`.
pub(super) fn rules(meta: &HashMap<String, String>) -> Result<SaleRules> {
    let number = |field: &str| meta.get(field).and_then(|number| number.parse().ok());
    let word = |word: &String| {
        SoldOutRule::parse(word).ok_or_else(|| StoreError::unexpected("not a rule", word))
    };
    let mut sold_out = SoldOutRules::default();
    for (field, value) in meta {
        match field.strip_prefix(SOLD_OUT) {
            Some("") => sold_out.default = word(value)?,
            Some(item) => {
                let item = item.strip_prefix(':').unwrap_or(item);
                sold_out.items.insert(Arc::from(item), word(value)?);
            }
            None => {}
        }
    }
    let limit = |field| number(field).and_then(|number| u32::try_from(number).ok());
    Ok(SaleRules {
        opens_at: number("opens_at").map(Timestamp),
        outflow: Outflow {
            per_minute: limit("per_minute"),
            burst: limit("burst"),
            max_holds: limit("max_holds"),
        },
        sold_out,
    })
}

/// Reads the answer of item_states.lua.
pub(super) fn item_states(answer: &[Value]) -> Result<Vec<ItemState>> {
    answer.iter().map(item_state).collect()
}

fn item_state(answer: &Value) -> Result<ItemState> {
    type Values = (Vec<u8>, i32, bool, u64, u64, u64, String);
    let (item, refused, ended, credit, unsettled, waiting, left): Values =
        from_redis_value_ref(answer)?;
    let refused = match refused {
        0 => None,
        refused => Some(
            Quantity::new(refused).map_err(|_| StoreError::unexpected("not an item", answer))?,
        ),
    };
    let (item, left) = (Arc::from(String::from_utf8_lossy(&item)), left.parse().ok());
    Ok(ItemState { item, refused, ended, credit, unsettled, waiting, left })
}
