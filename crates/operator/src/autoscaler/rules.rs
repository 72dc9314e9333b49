//! The rules of a sale, in the words of an event.

use bookingq_api::TimeString;
use bookingq_core::SaleRules;

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
    let others: String =
        others.map(|(item, rule)| format!(", {} for {item:?}", rule.as_str())).collect();
    format!("the queue {opens}, {outflow}; sold out items: {default}{others}")
}

/// The action of the event: another one for other rules, because events of one action are counted as
/// one, with the note of the first.
pub fn action(sentence: &str) -> String {
    sentence.chars().filter(char::is_ascii_alphanumeric).take(128).collect()
}
