//! The page's languages: one JSON file each, built into the program.
//!
//! A new language is one file in `page/strings` and one line here; a test compares its keys and
//! placeholders with the English ones.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

/// Code and texts of each language. The first one is the default.
const FILES: [(&str, &str); 12] = [
    ("en", include_str!("../../page/strings/en.json")),
    ("de", include_str!("../../page/strings/de.json")),
    ("fr", include_str!("../../page/strings/fr.json")),
    ("es", include_str!("../../page/strings/es.json")),
    ("pt", include_str!("../../page/strings/pt.json")),
    ("it", include_str!("../../page/strings/it.json")),
    ("nl", include_str!("../../page/strings/nl.json")),
    ("pl", include_str!("../../page/strings/pl.json")),
    ("tr", include_str!("../../page/strings/tr.json")),
    ("ar", include_str!("../../page/strings/ar.json")),
    ("ja", include_str!("../../page/strings/ja.json")),
    ("zh", include_str!("../../page/strings/zh.json")),
];

/// What each language is called in itself.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    Language::all().map(|one| Strings::new(one).get("_name").to_owned()).collect()
});

/// A language of the page, by its place among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Language(usize);

impl Language {
    /// Number of languages.
    pub const COUNT: usize = FILES.len();

    /// Every language.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..FILES.len()).map(Self)
    }

    /// Its code, as in `lang`.
    pub fn code(self) -> &'static str {
        FILES[self.0].0
    }

    /// The language of this code, if there is one.
    pub fn parse(code: &str) -> Option<Self> {
        Self::all().find(|one| one.code() == code)
    }

    /// The best language for an Accept-Language header: the one with the highest weight, the first
    /// of equals. Without a known one: English.
    pub fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::default());
        for part in header.split(',') {
            let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
            let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
            let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
            let language = Self::parse(&primary.to_ascii_lowercase());
            if let (Some(language), Some(weight)) = (language, weight)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// What it is called in itself.
    pub(super) fn name(self) -> &'static str {
        NAMES.get(self.0).map_or("", String::as_str)
    }

    /// Its position among all.
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// The texts of a language.
#[derive(Debug, Clone)]
pub struct Strings {
    texts: BTreeMap<&'static str, Value>,
    /// The file, without its white space.
    json: String,
}

impl Strings {
    /// The texts of `language`.
    pub fn new(language: Language) -> Self {
        // A test parses every file.
        let texts: BTreeMap<_, _> = serde_json::from_str(FILES[language.0].1).unwrap_or_default();
        let json = serde_json::to_string(&texts).unwrap_or_default();
        Self { texts, json }
    }

    /// A text; empty if there is none.
    pub fn get(&self, key: &str) -> &str {
        self.texts.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text with its placeholders filled.
    pub fn with(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut text = self.get(key).to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().copied()
    }

    /// All of them, for the script.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// A number with its digits in groups, as the language writes it.
    pub fn number(&self, value: u64) -> String {
        let digits = value.to_string();
        let smallest = self.texts.get("_min").and_then(Value::as_u64).unwrap_or(4);
        if (digits.len() as u64) < smallest {
            return digits;
        }
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push_str(self.get("_group"));
            }
            text.push(digit);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut found: Vec<_> = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|one| one.0)
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_language_has_the_keys_and_placeholders_of_english() {
        let english = Strings::new(Language::default());
        let keys: Vec<_> = english.keys().collect();
        assert!(keys.len() > 80, "{}", keys.len());
        for language in Language::all() {
            let strings = Strings::new(language);
            assert_eq!(strings.keys().collect::<Vec<_>>(), keys, "{}", language.code());
            for key in keys.iter().filter(|key| !key.starts_with('_')) {
                let text = strings.get(key);
                assert!(!text.is_empty(), "{} {key}", language.code());
                let expected = placeholders(english.get(key));
                assert_eq!(placeholders(text), expected, "{} {key}", language.code());
            }
        }
    }

    #[test]
    fn the_language_with_the_highest_weight_is_chosen() {
        for (header, code) in [
            ("", "en"),
            ("*", "en"),
            ("de-CH,de;q=0.9,en;q=0.8", "de"),
            ("en;q=0.5, PT-br", "pt"),
            ("xx, ja;q=0.1", "ja"),
            ("fr;q=0, nl;q=0.2", "nl"),
            ("zh_Hant_TW", "zh"),
            ("de;q=x", "en"),
            (";;,=;q", "en"),
        ] {
            assert_eq!(Language::accepted(header).code(), code, "{header:?}");
        }
    }

    #[test]
    fn numbers_are_grouped_as_the_language_writes_them() {
        let number = |code, value| Strings::new(Language::parse(code).unwrap()).number(value);
        assert_eq!(number("en", 999), "999");
        assert_eq!(number("en", 1000), "1,000");
        assert_eq!(number("de", 1_234_567), "1.234.567");
        assert_eq!(number("es", 1234), "1234");
        assert_eq!(number("es", 12_345), "12.345");
    }
}
