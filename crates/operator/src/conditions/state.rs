//! The state of one condition.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The status, reason and message of one condition.
#[derive(Clone)]
pub(crate) struct ConditionState {
    pub(crate) status: Cow<'static, str>,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) message: String,
}

pub(crate) const YES: &str = "True";
pub(crate) const NO: &str = "False";
pub(crate) const UNKNOWN: &str = "Unknown";

impl ConditionState {
    pub(crate) fn new(
        status: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status: status.into(), reason: reason.into(), message: message.into() }
    }

    pub(crate) fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(YES, reason, message)
    }

    pub(crate) fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(NO, reason, message)
    }

    /// The reason and message of `self` for a condition that is False.
    pub(crate) fn negated(&self) -> Self {
        Self { status: NO.into(), reason: self.reason.clone(), message: self.message.clone() }
    }

    /// The reason and message of `self` for a condition that is True.
    pub(crate) fn confirmed(&self) -> Self {
        Self { status: YES.into(), ..self.clone() }
    }

    pub(crate) fn holds(&self) -> bool {
        self.status == YES
    }

    pub(crate) fn condition(
        self,
        type_: &str,
        generation: Option<i64>,
        before: &[Condition],
        now: &Time,
    ) -> Condition {
        let same = before.iter().find(|old| old.type_ == type_ && old.status == self.status);
        Condition {
            type_: type_.to_owned(),
            status: self.status.into_owned(),
            reason: self.reason.into_owned(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: same.map_or(now, |old| &old.last_transition_time).clone(),
        }
    }
}
