//! `cargo xtask crd`: the CustomResourceDefinition in crds/ is what `bookingq crd` prints.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{shell, tree};

const FILE: &str = "crds/bookingqueue.yaml";

/// What to do with the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing; fail if the file is not up to date
    #[arg(long)]
    check: bool,
}

/// Writes or checks it.
pub fn run(args: &Args) -> Result<()> {
    let wanted = shell::read(shell::cargo().args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "bookingq",
        "--",
        "crd",
    ]))?;
    if args.check {
        let found = tree::read(FILE)?;
        if let Some(difference) = first_difference(&found, &wanted) {
            bail!("{FILE} is not what `bookingq crd` prints ({difference}); run `cargo xtask crd`");
        }
        println!("{FILE} is up to date");
    } else {
        fs::write(tree::root().join(FILE), wanted).with_context(|| format!("cannot write {FILE}"))?;
        println!("{FILE} is written");
    }
    Ok(())
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
            let show = |text: Option<&str>| text.map_or("the end".to_owned(), |text| format!("{text:?}"));
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
        assert_eq!(first_difference("a\nb\n", "a\nc\n").as_deref(), Some("line 2 is \"b\", not \"c\""));
        assert_eq!(first_difference("a\n", "a\nb\n").as_deref(), Some("line 2 is \"\", not \"b\""));
        assert_eq!(first_difference("a\nb", "a").as_deref(), Some("line 2 is \"b\", not the end"));
    }
}
