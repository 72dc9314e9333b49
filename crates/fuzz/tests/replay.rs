//! Every target with every seed, and with random mutations of them. Findings of libFuzzer become
//! seeds.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use bookingq_fuzz::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Names and contents. A seed is invalid if its name contains `wrong`.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds")).join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let seeds: Vec<_> = files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
        .collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

#[test]
fn every_seed_keeps_its_promise() {
    for (name, target) in TARGETS {
        for (seed, bytes) in seeds(name) {
            assert_eq!(target(&bytes), !seed.contains("wrong"), "{name}/{seed}");
        }
    }
}

/// A seed of a target with bytes overwritten, inserted or removed.
fn mutated() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let change = (any::<Index>(), 0..4_u8, vec(any::<u8>(), 0..9));
    (select(TARGETS.to_vec()), any::<Index>(), vec(change, 1..6)).prop_map(
        |((name, _), which, changes)| {
            let seeds = seeds(name);
            let mut bytes = which.get(&seeds).1.clone();
            for (at, how, new) in changes {
                let at = at.index(bytes.len() + 1);
                let end = (at + new.len()).min(bytes.len());
                match how {
                    0 => drop(bytes.splice(at..end, new)),
                    1 => drop(bytes.splice(at..at, new)),
                    2 => drop(bytes.drain(at..end)),
                    _ => bytes.truncate(at),
                }
            }
            (name, bytes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_seed_keeps_its_promise((name, bytes) in mutated()) {
        let target = TARGETS.into_iter().find(|(other, _)| *other == name).unwrap().1;
        target(&bytes);
    }
}
