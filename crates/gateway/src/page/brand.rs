//! The queue's colours, as CSS variables.

/// Used without a colour in the settings.
const DEFAULT: &str = "#1d4ed8";

/// `--b`, the colour of the brand, and `--on`, the colour of text on it: black or white, whichever
/// has the higher contrast (at least 4.58 to 1 for every colour).
pub fn css(color: Option<&str>) -> String {
    let color = color.unwrap_or(DEFAULT);
    let luminance = luminance(color).unwrap_or(0.0);
    let with_white = 1.05 / (luminance + 0.05);
    let with_black = (luminance + 0.05) / 0.05;
    let on = if with_white >= with_black { "#fff" } else { "#000" };
    format!(":root{{--b:{color};--on:{on}}}")
}

/// The relative luminance of `#rgb` or `#rrggbb`, as WCAG 2 defines it.
fn luminance(color: &str) -> Option<f64> {
    let hex = color.strip_prefix('#')?;
    let channel = |index: usize| {
        let digits = match hex.len() {
            3 => hex.get(index..=index)?.repeat(2),
            6 => hex.get(2 * index..2 * index + 2)?.to_owned(),
            _ => return None,
        };
        let part = f64::from(u8::from_str_radix(&digits, 16).ok()?) / 255.0;
        Some(if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) })
    };
    Some(0.2126 * channel(0)? + 0.7152 * channel(1)? + 0.0722 * channel(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_the_brand_is_readable() {
        for (color, on) in
            [("#000", "#fff"), ("#fff", "#000"), ("#ffd400", "#000"), ("#0a7d4b", "#fff")]
        {
            assert_eq!(css(Some(color)), format!(":root{{--b:{color};--on:{on}}}"));
        }
        assert_eq!(css(None), ":root{--b:#1d4ed8;--on:#fff}");
    }
}
