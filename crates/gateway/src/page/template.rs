//! Fills the page's templates. What is filled in is escaped, unless it is HTML of ours.

use std::fmt::Write as _;

use bookingq_serve::html::escape;

use super::strings::Strings;

/// JSON that cannot end the script element around it.
pub fn json_in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// Values for the placeholders of a template.
#[derive(Debug, Default)]
pub(super) struct Values {
    html: Vec<(&'static str, String)>,
}

impl Values {
    /// A text.
    pub fn text(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.html(name, escape(text))
    }

    /// HTML of ours.
    pub fn html(&mut self, name: &'static str, html: impl Into<String>) -> &mut Self {
        self.html.push((name, html.into()));
        self
    }

    fn get(&self, name: &str) -> &str {
        self.html.iter().find(|(one, _)| *one == name).map_or("", |(_, html)| html)
    }

    /// Fills `template`: `{{name}}` is a value, `{{t:key}}` a text of the language, and
    /// `{{hide:name}}` the attribute `hidden` where the value is empty.
    pub fn fill(&self, template: &str, strings: &Strings) -> String {
        let mut filled = String::with_capacity(template.len() * 2);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { break };
            filled.push_str(before);
            if let Some(key) = name.strip_prefix("t:") {
                filled.push_str(&escape(strings.get(key)));
            } else if let Some(name) = name.strip_prefix("hide:") {
                filled.push_str(if self.get(name).is_empty() { " hidden" } else { "" });
            } else {
                filled.push_str(self.get(name));
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// A hidden field of a form.
pub(super) fn hidden_field(html: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = write!(html, r#"<input type="hidden" name="{name}" value="{}">"#, escape(value));
}

#[cfg(test)]
mod tests {
    use super::super::strings::Language;
    use super::*;

    #[test]
    fn values_are_escaped_and_never_filled_again() {
        let mut values = Values::default();
        values.text("title", "<b>\"{{t:join.h}}\" & 'x'</b>").html("raw", "<i>");
        let strings = Strings::new(Language::default());
        let filled = values.fill("{{title}}|{{raw}}|{{none}}|{{hide:none}}|{{hide:raw}}", &strings);
        let expected =
            "&lt;b&gt;&quot;{{t:join.h}}&quot; &amp; &#39;x&#39;&lt;/b&gt;|<i>|| hidden|";
        assert_eq!(filled, expected);
    }

    #[test]
    fn json_does_not_end_its_script() {
        assert_eq!(json_in_script(r#"{"a":"</script>"}"#), r#"{"a":"\u003c/script>"}"#);
    }
}
