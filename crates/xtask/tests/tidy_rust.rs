//! Rules that read Rust.
#![allow(clippy::unwrap_used)]

use xtask::tidy::rust::RustSource;
use xtask::tidy::{circles, functions, places, types};

#[test]
fn comments_and_strings_are_blank_and_every_line_stays() {
    let plain = |text: &str| {
        RustSource::new("a.rs", text.to_owned()).code.replace('"', "").trim_end().to_owned()
    };
    assert_eq!(plain("a // b\nc"), "a     \nc");
    assert_eq!(plain("a /* b /* c */ d */ e"), "a                   e");
    assert_eq!(plain(r#"f("} \" {")"#), "f()");
    assert_eq!(plain("f(r#\"} \" {\"#, b'{', '\\'', '\"')"), "f(, b, , )");
    assert_eq!(plain("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    assert_eq!(RustSource::new("a.rs", "\"a\nb\"".to_owned()).code, "\"\"\n\"\"");
}

#[test]
fn functions_have_names_and_lines() {
    let text =
        "fn a();\nfn b(x: [u8; 2])\nwhere\n    T: Fn(u8),\n{\n    \"}\";\n}\nlet fnord: fn (u8);\n";
    let source = RustSource::new("crates/a/src/lib.rs", text.to_owned());
    assert_eq!(source.functions(), [("b", 1..7)]);
}

#[test]
fn a_test_module_is_no_part_of_the_product() {
    let product = |path: &str| {
        let text = "struct A;\n#[cfg(test)]\nmod tests {\n struct B;\n}\n".to_owned();
        RustSource::new(path, text).product().to_owned()
    };
    assert_eq!(product("crates/a/src/lib.rs"), "struct A;\n");
    assert_eq!(product("crates/a/src/lib/tests.rs"), "");
    assert_eq!(product("crates/a/tests/a.rs"), "");
}

#[test]
fn a_long_function_is_named_with_its_line() {
    let found = |lines: usize| {
        let text = format!("//! A.\nfn long() {{\n{}}}\n", "    a();\n".repeat(lines - 2));
        functions::check(&[RustSource::new("a.rs", text)])
    };
    assert_eq!(found(60), []);
    assert_eq!(found(61)[0].to_string(), "a.rs:2: fn long has 61 lines; at most 60");
}

#[test]
fn a_name_that_is_declared_twice_is_named_at_both_places() {
    let source = |path: &str, text: &str| RustSource::new(path, text.to_owned());
    let sources = [
        source("crates/a/src/a.rs", "pub struct One;\npub(crate) enum Two {}\nstruct Args;\n"),
        source("crates/b/src/b.rs", "struct Args;\ntrait Two { \n    type One = u8;\n}\n"),
        source("crates/b/tests/b.rs", "struct One;\n"),
    ];
    let found: Vec<_> = types::check(&sources).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "crates/a/src/a.rs:2: the type name Two is also declared in crates/b/src/b.rs:2",
            "crates/b/src/b.rs:2: the type name Two is also declared in crates/a/src/a.rs:2",
        ]
    );
}

fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let sources = files
        .iter()
        .map(|(file, text)| RustSource::new(&format!("a/src/{file}.rs"), (*text).to_owned()));
    circles::check(&sources.collect::<Vec<_>>()).iter().map(ToString::to_string).collect()
}

#[test]
fn a_circle_is_named_with_its_imports() {
    let circle = [
        ("lib", "mod x;\nmod y;\n"),
        ("x", "use std::fmt;\nuse crate::y::Y;\n"),
        ("y/mod", "fn f() {\n    crate::x::g();\n}\n"),
    ];
    let what = "a/src/x.rs: files import each other in a circle: \
                a/src/x.rs:2 -> a/src/y/mod.rs, a/src/y/mod.rs:2 -> a/src/x.rs";
    assert_eq!(circles(&circle), [what]);
}

#[test]
fn what_a_parent_shows_is_seen_through() {
    let files = [
        ("lib", "mod x;\nmod y;\npub use x::{A as B, C};\npub use self::y::D;\n"),
        ("x", "pub struct C;"),
        ("y", "use crate::{C};\nuse super::C;"),
    ];
    assert_eq!(circles(&files), [""; 0]);
}

#[test]
fn a_child_may_not_need_the_parent_that_needs_it() {
    let lib = "mod x;\nuse self::x::A;\nconst N: u8 = 1;\n";
    assert_eq!(circles(&[("lib", lib), ("x", "use super::N;")]).len(), 1);
    assert_eq!(circles(&[("lib", lib), ("x", "use super::*;\n")]).len(), 1);
    assert_eq!(circles(&[("lib", lib), ("x", "")]).len(), 0);
    assert_eq!(circles(&[("lib", "mod x;"), ("x", "use super::N;")]).len(), 0);
}

#[test]
fn only_the_core_compares_queue_numbers() {
    let found = |path: &str, line: &str| {
        let source = RustSource::new(path, format!("//! A.\n{line}\n"));
        places::check(&[source]).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let wrong = "if a.place.number < b.place.number {}";
    assert!(found("crates/a/src/a.rs", wrong)[0].starts_with("crates/a/src/a.rs:2: compare"));
    assert_eq!(found("crates/core/src/a.rs", wrong), [""; 0]);
    assert_eq!(found("crates/a/tests/a.rs", wrong), [""; 0]);
    assert_eq!(found("crates/a/src/a.rs", "if a.place < b.place {}"), [""; 0]);
}
