//! What the page's address asks for: the language, what to book, and where to go on.

use form_urlencoded::Serializer;
use serde::Deserialize;

use super::strings::Language;
use super::template::hidden_field;

/// The query of the page, and of its forms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageAddress {
    /// Language chosen on the page.
    pub lang: Option<String>,
    /// What to book.
    pub item: Option<String>,
    /// How many.
    pub quantity: Option<String>,
    /// Where a client goes on to pay.
    pub return_url: Option<String>,
}

impl PageAddress {
    /// The chosen language, else the one that the browser asks for.
    pub fn language(&self, accept_language: &str) -> Language {
        let chosen = self.lang.as_deref().and_then(Language::parse);
        chosen.unwrap_or_else(|| Language::accepted(accept_language))
    }

    fn fields(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("lang", self.lang.as_deref()),
            ("item", self.item.as_deref()),
            ("quantity", self.quantity.as_deref()),
            ("returnUrl", self.return_url.as_deref()),
        ]
    }

    /// The query as text: empty, or with its question mark.
    pub fn text(&self) -> String {
        let fields = self.fields().into_iter();
        let set = fields.filter_map(|(name, value)| Some((name, value?)));
        let encoded = Serializer::new(String::new()).extend_pairs(set).finish();
        if encoded.is_empty() { encoded } else { format!("?{encoded}") }
    }

    /// The query for another language.
    pub(super) fn in_language(&self, language: Language) -> String {
        Self { lang: Some(language.code().to_owned()), ..self.clone() }.text()
    }

    /// The fields of a form that sends this query again; `names` of them.
    pub(super) fn hidden_fields(&self, names: &[&str]) -> String {
        let mut html = String::new();
        for (name, value) in self.fields() {
            if let Some(value) = value.filter(|_| names.contains(&name)) {
                hidden_field(&mut html, name, value);
            }
        }
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_survives_a_change_of_the_language() {
        let query = PageAddress {
            item: Some("a&b=\"c\"".to_owned()),
            return_url: Some("https://a.example/x?y=1#z".to_owned()),
            ..PageAddress::default()
        };
        let expected =
            "?lang=de&item=a%26b%3D%22c%22&returnUrl=https%3A%2F%2Fa.example%2Fx%3Fy%3D1%23z";
        assert_eq!(query.in_language(Language::parse("de").unwrap()), expected);
        let fields = query.hidden_fields(&["item"]);
        assert_eq!(fields, r#"<input type="hidden" name="item" value="a&amp;b=&quot;c&quot;">"#);
        assert_eq!(PageAddress::default().text(), "");
    }
}
