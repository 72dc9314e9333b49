//! The workers of a queue as a text: `WANTED READY`, then `AT FROM TO REASON NOTE` of the last
//! change.

use ::redis::Cmd;
use bookingq_core::{Timestamp, Workforce, WorkforceChange};

/// Their field of `booking-meta`.
pub(super) const FIELD: &str = "workforce";

/// The command that records them in the hash `meta`.
pub(super) fn recording(meta: &str, workforce: &Workforce) -> Cmd {
    let mut set = ::redis::cmd("HSET");
    set.arg(meta).arg(FIELD).arg(text(workforce));
    set
}

fn text(workforce: &Workforce) -> String {
    let Workforce { wanted, ready, last_scaling } = workforce.bounded();
    let change = last_scaling.map(|change| {
        let WorkforceChange { at, from, to, reason, note } = change;
        format!(" {} {from} {to} {reason} {note}", at.0)
    });
    format!("{wanted} {ready}{}", change.unwrap_or_default())
}

/// `None` for a text of another form: what is only shown must not fail a reading.
pub(super) fn read(text: &str) -> Option<Workforce> {
    let mut words = text.splitn(7, ' ');
    let mut word = || words.next();
    let (wanted, ready) = (word()?.parse().ok()?, word()?.parse().ok()?);
    let last_scaling = match word() {
        None => None,
        Some(at) => Some(WorkforceChange {
            at: Timestamp(at.parse().ok()?),
            from: word()?.parse().ok()?,
            to: word()?.parse().ok()?,
            reason: word()?.to_owned(),
            note: word()?.to_owned(),
        }),
    };
    Some(Workforce { wanted, ready, last_scaling })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_another_form_is_no_workforce() {
        for text in ["", "3", "3 x", "3 2 1", "3 2 1 1 3", "3 2 1 1 3 Demand", "-1 2"] {
            assert_eq!(read(text), None, "{text}");
        }
        let plain = Workforce { wanted: 3, ready: 2, last_scaling: None };
        assert_eq!((text(&plain).as_str(), read("3 2")), ("3 2", Some(plain)));
    }
}
