//! A booking as it is shown.

use std::io;
use std::time::Duration;

use bookingq_proto::v1;
use serde::Serialize;

use super::{Output, about, moment, print_json, print_table, seconds};

/// A booking, in the words of the contract.
#[derive(Debug, PartialEq, Serialize)]
// The names are those of the contract.
#[allow(clippy::struct_field_names)]
pub struct Booking {
    queue: String,
    client_id: String,
    booking_id: String,
    request_id: String,
    state: &'static str,
    queue_number: u64,
    /// 1 = next; absent when not in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueued_at: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reservation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Only after enqueue: the place was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing: Option<bool>,
}

impl From<v1::Booking> for Booking {
    fn from(booking: v1::Booking) -> Self {
        let outcome = booking.outcome().to_core().map(bookingq_core::BookingState::as_str);
        Self {
            state: state_word(booking.state()),
            outcome,
            queue_number: booking.queue_number,
            position: (booking.position > 0).then_some(booking.position),
            eta_seconds: booking.eta.as_ref().map(seconds),
            enqueued_at: booking.enqueued_at.as_ref().map(moment),
            deadline: booking.deadline.as_ref().map(moment),
            queue: booking.queue,
            client_id: booking.client_id,
            booking_id: booking.booking_id,
            request_id: booking.request_id,
            reservation_id: booking.reservation_id,
            reason: booking.reason,
            existing: None,
        }
    }
}

impl Booking {
    /// Whether the place was there before the call that brought it.
    pub fn existing(self, existing: bool) -> Self {
        Self { existing: Some(existing), ..self }
    }

    /// Shows it.
    pub fn print(&self, output: Output) -> io::Result<()> {
        match output {
            Output::Json => print_json(self),
            Output::Table => print_table(
                &[
                    "CLIENT",
                    "STATE",
                    "POSITION",
                    "NUMBER",
                    "WAIT",
                    "PAY BEFORE",
                    "BOOKING",
                    "REQUEST",
                    "NOTE",
                ],
                &[vec![
                    self.client_id.clone(),
                    self.state.to_owned(),
                    self.position.map(|position| position.to_string()).unwrap_or_default(),
                    self.queue_number.to_string(),
                    self.eta(),
                    self.deadline.clone().unwrap_or_default(),
                    self.booking_id.clone(),
                    self.request_id.clone(),
                    self.note(),
                ]],
            ),
        }
    }

    /// What happened, as a person would say it.
    pub fn sentence(&self) -> String {
        let detail = match (self.position, &self.deadline, self.outcome) {
            (Some(position), _, _) if self.eta().is_empty() => format!("position {position}"),
            (Some(position), _, _) => format!("position {position}, about {} to wait", self.eta()),
            (None, _, Some(outcome)) => format!("will end {outcome}"),
            (None, Some(deadline), None) if self.state == "reserved" => {
                format!("pay before {deadline}")
            }
            _ => String::new(),
        };
        let told: Vec<&str> = [detail.as_str(), self.reason.as_str()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        format!("{:<10} {}", self.state, told.join("; ")).trim_end().to_owned()
    }

    fn eta(&self) -> String {
        self.eta_seconds
            .map(|seconds| about(Duration::from_secs_f64(seconds.max(0.0))))
            .unwrap_or_default()
    }

    fn note(&self) -> String {
        match (self.existing, self.reason.is_empty()) {
            (Some(true), _) => "this place was there before".to_owned(),
            (_, false) => self.reason.clone(),
            _ => String::new(),
        }
    }
}

/// The state's word.
fn state_word(state: v1::BookingState) -> &'static str {
    state.to_core().map_or("unknown", bookingq_core::BookingState::as_str)
}
