//! No circles between the files of a crate: a file can be read knowing only those below it.
//!
//! An import is a path that starts with `crate`, `super`, `self` or a module of the file. It leads
//! to the file that declares the name, through `pub use`. The `mod` and `pub use` items of a parent
//! are no imports.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::rust::{self, RustSource};

/// Path of a module inside its crate.
type Module = Vec<String>;

/// Checks each crate.
pub fn check(sources: &[RustSource]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Files> = BTreeMap::new();
    for source in sources {
        if let Some((name, file)) = source.path.split_once("/src/")
            && !source.product().is_empty()
            && let Some(module) = module(file)
        {
            let files = crates.entry(name).or_default();
            // A program beside a library imports it as any other crate does.
            if !file.ends_with("main.rs") || !files.contains_key(&module) {
                files.insert(module, FileImports::read(source));
            }
        }
    }
    crates.values().filter_map(circles).collect()
}

type Files<'a> = BTreeMap<Module, FileImports<'a>>;

/// The paths in one file.
struct FileImports<'a> {
    path: &'a str,
    /// Each path that may name another file, with its line (0 = first).
    paths: Vec<(Module, usize)>,
    /// Paths that are re-exported under their last name.
    shown: Vec<Module>,
}

/// `None` for further programs, which are crates of their own.
fn module(file: &str) -> Option<Module> {
    let path = file.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => Some(Module::new()),
        path if path.starts_with("bin/") => None,
        path => Some(path.split('/').map(str::to_owned).collect()),
    }
}

impl<'a> FileImports<'a> {
    fn read(source: &'a RustSource) -> Self {
        let code = source.product();
        let mut imports = Self { path: &source.path, paths: Vec::new(), shown: Vec::new() };
        let mut at = 0;
        while let Some(c) = code[at..].chars().next() {
            let name = rust::word(&code[at..]);
            let end = at + name.len();
            let starts = !name.is_empty() && !code[..at].ends_with("::");
            if starts && name == "use" {
                let tree = code[end..].split(';').next().unwrap_or_default();
                let line_start = code[..at].rfind('\n').map_or(0, |line| line + 1);
                let is_shown = code[line_start..at].trim_start().starts_with("pub");
                let line = rust::line_of(code, at);
                expand(tree.trim(), &Module::new(), &mut |path| {
                    if is_shown {
                        imports.shown.push(path);
                    } else {
                        imports.paths.push((path, line));
                    }
                });
                at = end + tree.len();
            } else if starts && code[end..].starts_with("::") {
                let whole = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let path = code[at..].split(|c| !whole(c)).next().unwrap_or_default();
                let parts = path.split("::").map(str::to_owned).collect();
                imports.paths.push((parts, rust::line_of(code, at)));
                at += path.len();
            } else {
                at += name.len().max(c.len_utf8());
            }
        }
        imports
    }
}

/// Every path of a tree such as `a::{b, c::d}`.
fn expand(tree: &str, before: &Module, found: &mut impl FnMut(Module)) {
    let mut path = before.clone();
    let (plain, group) = tree.split_once('{').map_or((tree, None), |(a, b)| (a, Some(b)));
    let plain = plain.split(" as ").next().unwrap_or_default();
    path.extend(plain.split("::").map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned));
    let Some(group) = group.and_then(|group| group.rsplit_once('}')) else { return found(path) };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.0.char_indices().chain([(group.0.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let one = group.0[start..at].trim();
                if !one.is_empty() {
                    expand(one, &path, found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module whose file declares the name of a path; `None` if that is outside of this crate.
fn resolve(files: &Files, from: &Module, path: &[String], limit: usize) -> Option<Module> {
    let mut here = from.clone();
    let mut rest = path;
    let first = rest.first()?;
    let child = |here: &Module, name| [&here[..], std::slice::from_ref(name)].concat();
    match first.as_str() {
        "crate" => here.clear(),
        "self" => {}
        "super" => drop(here.pop()),
        _ if files.contains_key(&child(&here, first)) => here = child(&here, first),
        _ => return None,
    }
    rest = &rest[1..];
    while let Some(name) = rest.first() {
        if name == "super" {
            here.pop();
        } else if files.contains_key(&child(&here, name)) {
            here = child(&here, name);
        } else if name != "self" {
            let shown = files[&here].shown.iter().find(|shown| shown.last() == Some(name));
            let through = shown.filter(|_| limit > 0);
            return through
                .and_then(|shown| resolve(files, &here, shown, limit - 1))
                .or(Some(here));
        }
        rest = &rest[1..];
    }
    Some(here)
}

/// One finding with the imports that are left when files that import none of the others, or that
/// none of the others imports, are removed again and again.
fn circles(files: &Files) -> Option<Finding> {
    let mut arrows = BTreeMap::new();
    for (module, file) in files {
        for (path, line) in &file.paths {
            let target = resolve(files, module, path, 4).filter(|target| target != module);
            if let Some(target) = target {
                arrows.entry((module.clone(), target)).or_insert(*line);
            }
        }
    }
    loop {
        let before = arrows.len();
        let from: BTreeSet<_> = arrows.keys().map(|(from, _)| from.clone()).collect();
        let to: BTreeSet<_> = arrows.keys().map(|(_, to)| to.clone()).collect();
        arrows.retain(|(a, b), _| to.contains(a) && from.contains(b));
        if arrows.len() == before {
            break;
        }
    }
    let path = |module| files[module].path;
    let first = arrows.keys().next().map(|(from, _)| path(from))?;
    let steps = arrows
        .iter()
        .map(|((from, to), line)| format!("{}:{} -> {}", path(from), line + 1, path(to)));
    let steps = steps.collect::<Vec<_>>().join(", ");
    Some(Finding::in_file(first, format!("files import each other in a circle: {steps}")))
}
