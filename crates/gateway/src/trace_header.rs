//! The trace that a browser or an app sends along (W3C Trace Context).

use axum::http::HeaderMap;

/// Version 00: `00-TRACE-SPAN-FLAGS` in lower-case hexadecimal digits.
const PARTS: [usize; 4] = [2, 32, 16, 2];

/// The `traceparent` of a request, if it is one.
pub fn of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let is_hex =
        |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = value.split('-').collect();
    let fits = parts.len() == PARTS.len()
        && parts.iter().zip(PARTS).all(|(part, len)| part.len() == len && is_hex(part))
        && parts[0] == "00"
        && parts[1..3].iter().all(|id| id.bytes().any(|byte| byte != b'0'));
    fits.then(|| value.to_owned())
}

/// The id of the trace, for the log.
pub fn trace_id(headers: &HeaderMap) -> Option<String> {
    of(headers)?.split('-').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_is_carried_on() {
        let read = |value: &str| {
            of(&[("traceparent".parse().unwrap(), value.parse().unwrap())].into_iter().collect())
        };
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read(good).as_deref(), Some(good));
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
