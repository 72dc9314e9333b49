//! The settings of a queue in its store, admission and rules, and their changes in the words of
//! events.

use std::sync::Arc;

use async_trait::async_trait;
use bookingq_api::{Plan, TimeString};
use bookingq_core::{Admission, SaleRules, Workforce};
use bookingq_store::{Snapshot, Store, StoreError};

/// Takes the settings of a queue.
#[async_trait]
pub trait SettingsSink: Send + Sync {
    /// Opens, pauses or closes the queue.
    async fn set_admission(&self, admission: Admission) -> Result<(), StoreError>;

    /// Sets the rules of the sale.
    async fn set_rules(&self, rules: SaleRules) -> Result<(), StoreError>;

    /// Records the workers of the queue.
    async fn set_workforce(&self, workforce: &Workforce) -> Result<(), StoreError>;
}

#[async_trait]
impl SettingsSink for Arc<dyn Store> {
    async fn set_admission(&self, admission: Admission) -> Result<(), StoreError> {
        Store::set_admission(&**self, admission).await
    }

    async fn set_rules(&self, rules: SaleRules) -> Result<(), StoreError> {
        Store::set_rules(&**self, rules).await
    }

    async fn set_workforce(&self, workforce: &Workforce) -> Result<(), StoreError> {
        Store::set_workforce(&**self, workforce).await
    }
}

/// A setting that was written, as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Reason of the event.
    pub reason: &'static str,
    /// Its action: another one for another value, because events of one action are counted as one,
    /// with the note of the first.
    pub action: String,
    /// Its note.
    pub note: String,
}

/// Writes the settings of the plan that the store does not have, and adds them to `changes`.
///
/// # Errors
/// Of the first one that was not written; those after it were not tried.
pub async fn write(
    store: &dyn SettingsSink,
    plan: &Plan,
    now: &Snapshot,
    changes: &mut Vec<SettingChange>,
) -> Result<(), StoreError> {
    // A pause comes first and an opening last, so that no client is served in between.
    let paused = plan.admission == Admission::Paused;
    if paused {
        write_admission(store, plan.admission, now, changes).await?;
    }
    write_rules(store, &plan.rules, now, changes).await?;
    if !paused {
        write_admission(store, plan.admission, now, changes).await?;
    }
    Ok(())
}

async fn write_admission(
    store: &dyn SettingsSink,
    wanted: Admission,
    now: &Snapshot,
    changes: &mut Vec<SettingChange>,
) -> Result<(), StoreError> {
    if now.admission != wanted {
        store.set_admission(wanted).await?;
        let (before, now) = (now.admission.as_str(), wanted.as_str());
        changes.push(SettingChange {
            reason: "AdmissionChanged",
            action: format!("Set{now}"),
            note: format!("the queue was {before} and is {now} now"),
        });
    }
    Ok(())
}

/// Rules that restrict nothing are written too, once: workers of fresh data wait for them.
async fn write_rules(
    store: &dyn SettingsSink,
    wanted: &SaleRules,
    now: &Snapshot,
    changes: &mut Vec<SettingChange>,
) -> Result<(), StoreError> {
    let differ = now.rules != *wanted;
    if differ || !now.rules_set {
        store.set_rules(wanted.clone()).await?;
    }
    if differ {
        let note = sentence(wanted);
        let action = note.chars().filter(char::is_ascii_alphanumeric).take(128).collect();
        changes.push(SettingChange { reason: "RulesChanged", action, note });
    }
    Ok(())
}

/// A sentence with all rules.
pub fn sentence(rules: &SaleRules) -> String {
    let SaleRules { opens_at, outflow, sold_out } = rules;
    let opens = match opens_at {
        Some(opens_at) => format!("opens at {}", TimeString::new(*opens_at)),
        None => "serves at once".to_owned(),
    };
    let limits = [
        outflow.per_minute.map(|limit| format!("{limit} bookings per minute")),
        outflow.burst.map(|limit| format!("{limit} at once")),
        outflow.max_holds.map(|limit| format!("{limit} reservations")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let outflow = match limits.as_slice() {
        [] => "without a limit".to_owned(),
        limits => format!("at most {}", limits.join(", ")),
    };
    let default = sold_out.default.as_str();
    let others = sold_out.items.iter().filter(|(_, rule)| **rule != sold_out.default);
    let others = others.map(|(item, rule)| format!(", {} for {item:?}", rule.as_str()));
    let others = others.collect::<Vec<_>>().concat();
    format!("the queue {opens}, {outflow}; sold out items: {default}{others}")
}
