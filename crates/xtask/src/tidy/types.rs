//! One type name has one meaning in the whole workspace, so that a search finds what it looks for.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::rust::{self, Source};

/// Names that may repeat: what clap fills in each command and each program.
const MAY_REPEAT: [&str; 2] = ["Args", "Cli"];

const KEYWORDS: [&str; 5] = ["struct ", "enum ", "trait ", "union ", "type "];

/// Where a type is declared: file, and line (0 = first).
type Place<'a> = (&'a str, usize);

/// Checks what is declared outside of tests.
pub fn check(sources: &[Source]) -> Vec<Problem> {
    let mut declared: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for source in sources {
        for (name, line) in declarations(source.product()) {
            declared.entry(name).or_default().push((&source.path, line));
        }
    }
    declared.retain(|name, places| places.len() > 1 && !MAY_REPEAT.contains(name));
    let repeated = declared.iter().flat_map(|(name, places)| {
        places.iter().map(move |place| {
            let others = places.iter().filter(|other| *other != place);
            let others: Vec<_> =
                others.map(|(file, line)| format!("{file}:{}", line + 1)).collect();
            let what = format!("the type name {name} is also declared in {}", others.join(", "));
            Problem::at(place.0, place.1, what)
        })
    });
    repeated.collect()
}

/// The names with their lines. Associated types are indented, and are no declarations.
fn declarations(code: &str) -> impl Iterator<Item = (&str, usize)> {
    code.lines().enumerate().filter_map(|(index, line)| {
        let item = line.trim_start();
        let item = match item.strip_prefix("pub(") {
            Some(rest) => rest.split_once(')').map_or(rest, |(_, item)| item.trim_start()),
            None => item.strip_prefix("pub ").unwrap_or(item),
        };
        let keyword = KEYWORDS.iter().find(|keyword| item.starts_with(**keyword))?;
        let associated = *keyword == "type " && line.starts_with(' ');
        let name = rust::word(&item[keyword.len()..]);
        (!associated && !name.is_empty()).then_some((name, index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_declared_twice_is_named_at_both_places() {
        let source = |path: &str, text: &str| Source::new(path, text.to_owned());
        let sources = [
            source("crates/a/src/a.rs", "pub struct One;\npub(crate) enum Two {}\nstruct Args;\n"),
            source("crates/b/src/b.rs", "struct Args;\ntrait Two { \n    type One = u8;\n}\n"),
            source("crates/b/tests/b.rs", "struct One;\n"),
        ];
        let found: Vec<_> = check(&sources).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "crates/a/src/a.rs:2: the type name Two is also declared in crates/b/src/b.rs:2",
                "crates/b/src/b.rs:2: the type name Two is also declared in crates/a/src/a.rs:2",
            ]
        );
    }
}
