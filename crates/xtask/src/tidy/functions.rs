//! A function fits a screen.

use super::problem::Problem;
use super::rust::Source;

/// Over this, a function does a second thing.
const MAX_LINES: usize = 60;

/// Checks every function, those of tests too.
pub fn check(sources: &[Source]) -> Vec<Problem> {
    sources.iter().flat_map(check_file).collect()
}

fn check_file(source: &Source) -> impl Iterator<Item = Problem> {
    let long = source.functions().into_iter().filter(|(_, lines)| lines.len() > MAX_LINES);
    long.map(|(name, lines)| {
        let what = format!("fn {name} has {} lines; at most {MAX_LINES}", lines.len());
        Problem::at(&source.path, lines.start, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_is_named_with_its_line() {
        let found = |lines: usize| {
            let text = format!("//! A.\nfn long() {{\n{}}}\n", "    a();\n".repeat(lines - 2));
            check(&[Source::new("a.rs", text)])
        };
        assert_eq!(found(60), []);
        assert_eq!(found(61)[0].to_string(), "a.rs:2: fn long has 61 lines; at most 60");
    }
}
