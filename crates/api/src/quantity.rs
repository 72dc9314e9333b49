//! Kubernetes quantities, such as `500m` and `8Gi`: checked here because the API server reports an
//! invalid one in a Pod template as an internal error.
//!
//! The grammar is that of k8s.io/apimachinery/pkg/api/resource: digits with at most one point, and
//! a suffix.

/// The allowed values, in words.
pub const ALLOWED: &str = "a Kubernetes quantity from 0 on, such as 500m, 2, 1.5 or 8Gi";
const SUFFIXES: [&str; 16] =
    ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Whether `text` is a quantity that is not negative.
pub fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number_is_right = number.bytes().any(|b| b.is_ascii_digit())
        && number.bytes().filter(|b| *b == b'.').count() <= 1;
    number_is_right && (SUFFIXES.contains(&suffix) || is_exponent(suffix))
}

/// `e3`, `E-2`.
fn is_exponent(suffix: &str) -> bool {
    let Some(digits) = suffix.strip_prefix(['e', 'E']) else { return false };
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_accepted_and_other_texts_are_not() {
        for right in
            ["0", "2", "500m", "1.5", ".5", "5.", "8Gi", "128974848", "129e6", "1E3", "+1", "100k"]
        {
            assert!(is_quantity(right), "{right}");
        }
        for wrong in [
            "", ".", "nonsense", "-1", "1 Gi", "8gb", "1.2.3", "Gi", "1e", "1Gib", "0x10",
            "1e1234", "1+",
        ] {
            assert!(!is_quantity(wrong), "{wrong}");
        }
    }
}
