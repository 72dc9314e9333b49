//! How a booking is shown.

use std::io;

use bookingq_core::BookingState;
use bookingq_proto::v1;
use serde::Serialize;

use super::{ItemOutput, Output, WaitOutput, chance_word, moment, print_json, print_table};

/// A booking, with the field names of the contract.
#[derive(Debug, PartialEq, Serialize)]
#[allow(clippy::struct_field_names)]
pub struct BookingOutput {
    queue: String,
    client_id: String,
    booking_id: String,
    request_id: String,
    state: &'static str,
    queue_number: u64,
    /// 1 = next, in the line or among those that wait for the item; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(flatten)]
    wait: WaitOutput,
    /// The chance of getting what is booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    chance: Option<&'static str>,
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
    #[serde(skip_serializing_if = "String::is_empty")]
    item: String,
    quantity: i32,
    parked: bool,
    /// Unless the item is open for this booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_status: Option<ItemOutput>,
    /// Only after a late payment: the booking whose hold had expired.
    #[serde(skip_serializing_if = "String::is_empty")]
    reacquired_for: String,
    /// Only after enqueue: the call found this booking and made none.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing: Option<bool>,
}

impl BookingOutput {
    /// Reads the booking of an answer.
    pub fn parse(booking: Option<v1::Booking>) -> anyhow::Result<Self> {
        let Some(booking) = booking else { anyhow::bail!("the answer has no booking") };
        let outcome = booking.outcome().to_core().map(BookingState::as_str);
        Ok(Self {
            state: booking.state().to_core().map_or("unknown", BookingState::as_str),
            outcome,
            queue_number: booking.queue_number,
            position: (booking.position > 0).then_some(booking.position),
            wait: WaitOutput::new(
                booking.eta.as_ref(),
                booking.eta_range.as_ref(),
                booking.eta_unknown(),
            ),
            chance: chance_word(booking.chance()),
            enqueued_at: booking.enqueued_at.as_ref().map(moment),
            deadline: booking.deadline.as_ref().map(moment),
            queue: booking.queue,
            client_id: booking.client_id,
            booking_id: booking.booking_id,
            request_id: booking.request_id,
            reservation_id: booking.reservation_id,
            reason: booking.reason,
            item: booking.item,
            quantity: booking.quantity,
            parked: booking.parked,
            item_status: booking.item_status.map(Into::into),
            reacquired_for: String::new(),
            existing: None,
        })
    }

    /// Adds the booking whose hold had expired, if this one was made for its payment.
    pub fn reacquired_for(self, reacquired_for: String) -> Self {
        Self { reacquired_for, ..self }
    }

    /// Adds whether the booking existed before the call.
    pub fn existing(self, existing: bool) -> Self {
        Self { existing: Some(existing), ..self }
    }

    /// Prints it to stdout.
    pub fn print(&self, output: Output) -> io::Result<()> {
        if output == Output::Json {
            return print_json(self);
        }
        print_table(&[
            ("client", self.client_id.clone()),
            ("state", self.state.to_owned()),
            ("position", self.position.map(|position| position.to_string()).unwrap_or_default()),
            ("number", self.queue_number.to_string()),
            ("wait", self.wait.words()),
            ("pay_before", self.deadline.clone().unwrap_or_default()),
            ("booking", self.booking_id.clone()),
            ("request", self.request_id.clone()),
            ("note", self.note()),
        ])
    }

    /// The state and its details in one line.
    pub fn sentence(&self) -> String {
        let detail = match (self.position, &self.deadline, self.outcome) {
            (Some(position), _, _) if self.parked => place_kept(position),
            (Some(position), _, _) => {
                [format!("position {position}"), self.explain_wait()].concat()
            }
            (None, _, Some(outcome)) => format!("will end {outcome}"),
            (None, Some(deadline), None) if self.state == "reserved" => {
                format!("pay before {deadline}")
            }
            _ => String::new(),
        };
        let details = [self.explain_item(), detail, self.explain_chance(), self.reason.clone()];
        let details: Vec<String> = details.into_iter().filter(|text| !text.is_empty()).collect();
        format!("{:<10} {}", self.state, details.join("; ")).trim_end().to_owned()
    }

    /// The expected wait, or why it is unknown, as the end of a sentence.
    fn explain_wait(&self) -> String {
        match self.wait.explain_halt() {
            _ if self.wait.is_known() => format!(", {} to wait", self.wait.words()),
            "" => String::new(),
            halt => format!(", {halt}"),
        }
    }

    fn explain_chance(&self) -> String {
        self.chance.map(|chance| format!("a ticket is {chance}")).unwrap_or_default()
    }

    fn explain_item(&self) -> String {
        self.item_status.as_ref().map(ItemOutput::explain).unwrap_or_default()
    }

    fn note(&self) -> String {
        if self.existing == Some(true) {
            return "existing booking".to_owned();
        }
        let kept = self.position.filter(|_| self.parked).map(place_kept);
        let reacquired = match (self.reacquired_for.as_str(), self.state) {
            ("", _) => String::new(),
            (expired, "sold_out") => format!("made for {expired}: return the payment"),
            (expired, _) => format!("made for {expired}"),
        };
        let notes = [
            self.explain_item(),
            kept.unwrap_or_default(),
            self.wait.explain_halt().to_owned(),
            self.explain_chance(),
            reacquired,
            self.reason.clone(),
        ];
        notes.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// What a parked client should know: the position is among those that wait for the same item.
fn place_kept(position: u64) -> String {
    match position.saturating_sub(1) {
        0 => "you keep your place (you are next)".to_owned(),
        1 => "you keep your place (1 waits before you)".to_owned(),
        before => format!("you keep your place ({before} wait before you)"),
    }
}
