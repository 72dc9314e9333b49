//! Files of the repository that a command generates, or compares with what it would generate.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::tree;

/// What to do with a generated file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing; fail if a file is not up to date
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Whether nothing is to be changed.
    pub fn checks(&self) -> bool {
        self.check
    }

    /// Writes `file`, or fails with `command`, which updates it, if it does not hold `wanted`.
    pub fn settle(&self, file: &str, wanted: &str, command: &str) -> Result<()> {
        if self.check {
            let found = tree::read(file)?;
            if let Some(difference) = first_difference(&found, wanted) {
                bail!("{file} is not up to date ({difference}); run `{command}`");
            }
            println!("{file} is up to date");
        } else {
            fs::write(tree::root().join(file), wanted)
                .with_context(|| format!("cannot write {file}"))?;
            println!("{file} is written");
        }
        Ok(())
    }
}

/// The first line in which two texts differ.
pub fn first_difference(found: &str, wanted: &str) -> Option<String> {
    if found == wanted {
        return None;
    }
    let (mut found, mut wanted) = (found.split('\n'), wanted.split('\n'));
    let mut line = 0;
    loop {
        line += 1;
        let (is, should) = (found.next(), wanted.next());
        if is != should {
            let show =
                |text: Option<&str>| text.map_or("the end".to_owned(), |text| format!("{text:?}"));
            return Some(format!("line {line} is {}, not {}", show(is), show(should)));
        }
    }
}
