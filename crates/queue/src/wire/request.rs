//! What clients ask.

use bookingq_core::{ClientId, PaymentId, RequestId};

use super::Unreadable;
use super::ids::{BookingIdWire, DetailsWire, booking_id, details};
use crate::request::{Cancel, Confirm, Enqueue};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct JoinWire {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(string, tag = "2")]
    request: String,
    #[prost(message, optional, tag = "3")]
    booking: Option<BookingIdWire>,
    #[prost(message, optional, tag = "4")]
    details: Option<DetailsWire>,
    #[prost(string, optional, tag = "5")]
    trace: Option<String>,
}

impl From<&Enqueue> for JoinWire {
    fn from(enqueue: &Enqueue) -> Self {
        Self {
            client: enqueue.client.as_str().to_owned(),
            request: enqueue.request.as_str().to_owned(),
            booking: Some(enqueue.booking.into()),
            details: Some((&enqueue.details).into()),
            trace: enqueue.trace.clone(),
        }
    }
}

impl TryFrom<JoinWire> for Enqueue {
    type Error = Unreadable;

    fn try_from(wire: JoinWire) -> Result<Self, Unreadable> {
        Ok(Self {
            client: ClientId::new(&wire.client)?,
            request: RequestId::new(&wire.request)?,
            booking: booking_id(wire.booking)?,
            details: details(wire.details)?,
            trace: wire.trace,
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConfirmWire {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(message, optional, tag = "2")]
    booking: Option<BookingIdWire>,
    #[prost(string, tag = "3")]
    payment: String,
    #[prost(message, optional, tag = "4")]
    reacquire: Option<BookingIdWire>,
}

impl From<&Confirm> for ConfirmWire {
    fn from(confirm: &Confirm) -> Self {
        Self {
            client: confirm.client.as_str().to_owned(),
            booking: confirm.booking.map(Into::into),
            payment: confirm.payment.as_str().to_owned(),
            reacquire: confirm.reacquire.map(Into::into),
        }
    }
}

impl TryFrom<ConfirmWire> for Confirm {
    type Error = Unreadable;

    fn try_from(wire: ConfirmWire) -> Result<Self, Unreadable> {
        Ok(Self {
            client: ClientId::new(&wire.client)?,
            booking: wire.booking.map(Into::into),
            payment: PaymentId::new(&wire.payment)?,
            reacquire: wire.reacquire.map(Into::into),
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CancelWire {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(message, optional, tag = "2")]
    booking: Option<BookingIdWire>,
}

impl From<&Cancel> for CancelWire {
    fn from(cancel: &Cancel) -> Self {
        Self { client: cancel.client.as_str().to_owned(), booking: cancel.booking.map(Into::into) }
    }
}

impl TryFrom<CancelWire> for Cancel {
    type Error = Unreadable;

    fn try_from(wire: CancelWire) -> Result<Self, Unreadable> {
        let client = ClientId::new(&wire.client)?;
        Ok(Self { client, booking: wire.booking.map(Into::into) })
    }
}
