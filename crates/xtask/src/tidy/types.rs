//! One type name has one meaning in the whole workspace, so that a search finds it.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::rust::{self, RustSource};

/// Names that may repeat: the flags of each command and program.
const MAY_REPEAT: [&str; 2] = ["Args", "Cli"];

const KEYWORDS: [&str; 5] = ["struct ", "enum ", "trait ", "union ", "type "];

/// Checks the declarations outside of tests.
pub fn check(sources: &[RustSource]) -> Vec<Finding> {
    let mut declared: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
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
            Finding::at(place.0, place.1, what)
        })
    });
    repeated.collect()
}

/// The names with their lines (0 = first). Indented `type` items are associated types.
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
