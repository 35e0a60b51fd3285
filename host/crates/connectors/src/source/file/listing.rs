//! Which files a path or a glob names, in the order of their names.

use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobMatcher};
use gristmill_types::{Parallelism, SubtaskIndex};
use xxhash_rust::xxh3::xxh3_64;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    /// As people know it: relative to where the job is, if its path was given so.
    pub(super) shown: String,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// The subtask that reads the file of this path. Depends on the path alone, not on which other files are there.
pub(super) fn owner_of(shown: &str, parallelism: Parallelism) -> SubtaskIndex {
    let owner = xxh3_64(shown.as_bytes()) % u64::from(parallelism.get());
    SubtaskIndex(u32::try_from(owner).expect("it is below the parallelism"))
}

/// Characters that make a path a glob.
const META: [char; 4] = ['*', '?', '[', '{'];

/// Directories of a `**` deeper than this are not looked into.
const MAX_DEPTH: usize = 64;

/// The files that `pattern` names, below `base` if it is relative. Never none.
///
/// # Errors
/// A sentence: nothing is there, or it is no file.
pub(super) fn list(pattern: &str, base: &Path) -> Result<Vec<Listed>, String> {
    let whole = base.join(pattern);
    // A file may have brackets in its name: then it is meant.
    if whole.exists() || !pattern.contains(META) {
        return one(pattern, whole).map(|file| vec![file]);
    }
    let glob = GlobBuilder::new(&whole.to_string_lossy()).literal_separator(true).build();
    let glob = glob.map_err(|error| format!("`{pattern}` is not a glob: {}", error.kind()))?;
    let (root, depth) = root_of(&whole);
    let mut files = Vec::new();
    let wanted = Wanted { glob: glob.compile_matcher(), hidden: hidden(&whole) };
    walk(&root, depth, &wanted, &mut files)
        .map_err(|error| format!("cannot look for `{pattern}` in `{}`: {error}", root.display()))?;
    files.sort();
    let shown = |path: &Path| match path.strip_prefix(base) {
        Ok(relative) if !Path::new(pattern).is_absolute() => relative.display().to_string(),
        Ok(_) | Err(_) => path.display().to_string(),
    };
    let files: Vec<Listed> = files.into_iter().map(|path| Listed { shown: shown(&path), path }).collect();
    if files.is_empty() {
        return Err(format!("no file matches `{pattern}` (looked in `{}`); check the path", root.display()));
    }
    Ok(files)
}

fn one(shown: &str, path: PathBuf) -> Result<Listed, String> {
    let found = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file `{}`; check the path", path.display()),
        _ => format!("cannot look at `{}`: {error}", path.display()),
    })?;
    if found.is_dir() {
        return Err(format!("`{shown}` is a directory; write `{}/*` to read its files", shown.trim_end_matches('/')));
    }
    if !found.is_file() {
        return Err(format!("`{shown}` is not a regular file; use a `socket` source for streams"));
    }
    Ok(Listed { shown: shown.to_owned(), path })
}

/// The directory above the first component that is a pattern, and how deep files may lie below it.
fn root_of(pattern: &Path) -> (PathBuf, usize) {
    let is_plain = |component: &Component<'_>| !component.as_os_str().to_string_lossy().contains(META);
    let root: PathBuf = pattern.components().take_while(is_plain).collect();
    let below = pattern.components().skip_while(is_plain);
    let depth = if pattern.to_string_lossy().contains("**") { MAX_DEPTH } else { below.count() };
    (if root.as_os_str().is_empty() { PathBuf::from(".") } else { root }, depth)
}

/// What a glob names.
struct Wanted {
    glob: GlobMatcher,
    /// The components that begin with a dot: only these name what is hidden. What sinks stage beside their files is.
    hidden: Vec<GlobMatcher>,
}

fn hidden(pattern: &Path) -> Vec<GlobMatcher> {
    let names = pattern.iter().map(|component| component.to_string_lossy());
    // One that is no glob by itself, since its braces hold a slash, names nothing that is hidden.
    names
        .filter(|name| name.starts_with('.'))
        .filter_map(|name| Some(Glob::new(&name).ok()?.compile_matcher()))
        .collect()
}

/// Directories that are links are not entered: they may lead back.
fn walk(directory: &Path, depth: usize, wanted: &Wanted, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") && !wanted.hidden.iter().any(|glob| glob.is_match(&name)) {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 1 {
            walk(&path, depth - 1, wanted, files)?;
        } else if wanted.glob.is_match(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        directory
    }

    fn names(pattern: &str, base: &Path) -> Result<Vec<String>, String> {
        Ok(list(pattern, base)?.into_iter().map(|file| file.shown).collect())
    }

    #[test]
    fn a_glob_names_files_in_the_order_of_their_names() {
        let tree = tree(&["b.jsonl", "a.jsonl", "c.csv", "sub/d.jsonl", "sub/deep/e.jsonl", "x/f.jsonl"]);
        let table = [
            ("*.jsonl", vec!["a.jsonl", "b.jsonl"]),
            ("{a,c}.*", vec!["a.jsonl", "c.csv"]),
            ("*/*.jsonl", vec!["sub/d.jsonl", "x/f.jsonl"]),
            ("**/[de].jsonl", vec!["sub/d.jsonl", "sub/deep/e.jsonl"]),
            ("b.jsonl", vec!["b.jsonl"]),
            ("./sub/d.jsonl", vec!["./sub/d.jsonl"]),
        ];
        for (pattern, wanted) in table {
            assert_eq!(names(pattern, tree.path()), Ok(wanted.into_iter().map(str::to_owned).collect()), "{pattern}");
        }
        let absolute = tree.path().join("a.jsonl").display().to_string();
        assert_eq!(names(&absolute, Path::new("/elsewhere")), Ok(vec![absolute.clone()]));
    }

    #[test]
    fn what_is_hidden_is_named_by_a_dot_only() {
        let tree = tree(&["a", ".a.0-0.staged", ".a.lock", "sub/b", "sub/.b", ".git/c", ".git/.d"]);
        let table = [
            ("*", vec!["a"]),
            ("?a*", vec![]),
            ("**", vec!["a", "sub/b"]),
            ("[.]a*", vec![]),
            (".*", vec![".a.0-0.staged", ".a.lock"]),
            (".a.l*", vec![".a.lock"]),
            ("**/.b*", vec!["sub/.b"]),
            (".git/*", vec![".git/c"]),
            (".git/.*", vec![".git/.d"]),
            ("*/.?", vec!["sub/.b"]),
            (".g*/*", vec![".git/c"]),
        ];
        for (pattern, wanted) in table {
            match names(pattern, tree.path()) {
                Ok(found) => assert_eq!(found, wanted, "{pattern}"),
                Err(reason) => assert!(wanted.is_empty() && reason.contains("no file matches"), "{pattern}: {reason}"),
            }
        }
    }

    #[test]
    fn a_file_with_brackets_in_its_name_is_meant() {
        let tree = tree(&["a[1].csv", "a1.csv"]);
        assert_eq!(names("a[1].csv", tree.path()), Ok(vec!["a[1].csv".to_owned()]));
    }

    #[test]
    fn what_is_not_there_is_a_sentence() {
        let tree = tree(&["sub/a.jsonl"]);
        for (pattern, words) in [
            ("none.jsonl", "there is no file"),
            ("*.jsonl", "no file matches `*.jsonl`"),
            ("none/*.jsonl", "cannot look for"),
            ("sub", "`sub` is a directory; write `sub/*`"),
            ("*.{a", "is not a glob"),
        ] {
            let reason = names(pattern, tree.path()).expect_err(pattern);
            assert!(reason.contains(words), "{pattern}: {reason}");
        }
    }
}
