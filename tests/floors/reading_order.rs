//! A module imports only modules that are named above it, those that it lies in, and its own.
//!
//! Then a crate can be read from its first module to its last. Seen in the text: every path that begins with `crate` or
//! `super`, in code that is no test.

use std::collections::BTreeSet;
use std::path::Path;

use crate::root;

/// A module: its path from the crate's root, `["job", "handle"]`, and its text without comments and tests.
type Module = (Vec<String>, String);

#[test]
fn a_module_imports_only_modules_named_above_it() {
    let crates =
        std::fs::read_dir(root().join("host/crates")).expect("a folder").map(|entry| entry.expect("entry").path());
    let mut against = BTreeSet::new();
    for package in crates.chain([root().join("host"), root().join("sdk")]) {
        let mut modules = Vec::new();
        read(&package.join("src/lib.rs"), &package.join("src"), &[], &mut modules);
        let name = package.file_name().expect("a name").to_string_lossy().into_owned();
        against.extend(imports_from_below(&modules).map(|(from, to)| format!("{name}: `{from}` imports `{to}`")));
    }
    assert!(against.is_empty(), "these stand above what they import:\n{}", Vec::from_iter(against).join("\n"));
}

/// Reads a module and, in the order in which they are declared, those in it.
fn read(file: &Path, folder: &Path, path: &[String], modules: &mut Vec<Module>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let lines: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect();
    // Tests stand last, or in a file that is declared for tests only.
    let is_test = |at: usize| at > 0 && lines[at - 1] == "#[cfg(test)]" && lines[at].starts_with("mod ");
    let code = &lines[..(0..lines.len()).find(|at| is_test(*at)).unwrap_or(lines.len())];
    modules.push((path.to_owned(), code.join("\n")));
    for declared in code.iter().filter_map(|line| line.strip_suffix(';')?.rsplit_once("mod ")) {
        let ("" | "pub " | "pub(crate) " | "pub(super) ", name) = declared else { continue };
        let (flat, deep) = (folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs"));
        let file = if flat.exists() { flat } else { deep };
        read(&file, &folder.join(name), &[path, &[name.to_owned()]].concat(), modules);
    }
}

fn imports_from_below(modules: &[Module]) -> impl Iterator<Item = (String, String)> {
    let place = |path: &[String]| modules.iter().position(|(known, _)| known == path);
    let found = modules.iter().enumerate().flat_map(move |(at, (module, text))| {
        let targets = paths(text).into_iter().map(move |path| {
            let path = absolute(module, &path);
            let lengths = (0..=path.len()).rev();
            lengths.filter_map(|length| place(&path[..length])).next().expect("the root is a module")
        });
        targets
            .filter(move |target| *target > at && !modules[*target].0.starts_with(module))
            .map(move |target| (at, target))
    });
    found.map(|(from, to)| (modules[from].0.join("::"), modules[to].0.join("::")))
}

/// A path as it stands in a module, from the crate's root.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let from = if supers == 0 { &[] } else { &module[..module.len() - supers] };
    [from, &path[supers.max(1)..]].concat()
}

/// Every path in a text that begins with `crate` or `super`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        let begins = !text[..at].ends_with(|before: char| before.is_alphanumeric() || "_$:".contains(before));
        if begins {
            take_tree(&text[at..], Vec::new(), &mut found);
        }
    }
    found
}

/// Takes a tree as in `use`, such as `a::{b, c::d}`, apart into paths; gives the text behind it.
fn take_tree<'a>(text: &'a str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.starts_with('}') {
            rest = take_tree(rest, path.clone(), found);
            // Behind a branch may stand `as Name`.
            rest = &rest[rest.find([',', '}']).expect("braces are closed")..];
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        return &rest[1..];
    }
    let end = text.find(|part: char| !part.is_alphanumeric() && part != '_').unwrap_or(text.len());
    path.push(text[..end].to_owned());
    match text[end..].strip_prefix("::") {
        Some(rest) => take_tree(rest, path, found),
        None => {
            found.push(path);
            &text[end..]
        }
    }
}
