//! Files of the repository that a command writes: written anew, or compared with what they should
//! be.

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
    /// Writes `file`, or fails if it does not hold `wanted`. `command` is what a person runs to put
    /// it right.
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

/// Where two texts part, for a person.
fn first_difference(found: &str, wanted: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            first_difference("a\nb\n", "a\nc\n").as_deref(),
            Some("line 2 is \"b\", not \"c\"")
        );
        assert_eq!(first_difference("a\n", "a\nb\n").as_deref(), Some("line 2 is \"\", not \"b\""));
        assert_eq!(first_difference("a\nb", "a").as_deref(), Some("line 2 is \"b\", not the end"));
    }
}
