//! From a file to a job that can be started, or to sentences about what is wrong with it.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use gristmill_dataflow::document::ModuleSource;
use gristmill_dataflow::{JobDocument, Problem, environment, place, validate_offline};
use gristmill_ports::veil::Secrets;
use gristmill_runtime::{JobSpec, ModuleBytes, prepare};
use gristmill_types::{ModuleHash, NodeId};

use crate::wiring;
use crate::words::unreadable;

/// A job ready to start.
pub struct LoadedJob {
    /// All that is needed.
    pub spec: JobSpec,
    /// Where relative paths begin: the directory of the document.
    pub base: PathBuf,
}

/// What is wrong with a job document, each with its place.
#[derive(Debug)]
pub struct BadJob {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl BadJob {
    pub(crate) fn new(file: &Path, text: &str, mut problems: Vec<Problem>) -> Self {
        place(&mut problems, text);
        Self { file: file.to_owned(), problems }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for BadJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {problem}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for BadJob {}

/// Reads the text of a job document; `-` is standard input.
///
/// # Errors
/// If it cannot be read.
pub fn read_document(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading the job document from standard input")?;
        return Ok(text);
    }
    let advice = "give the YAML or JSON file that describes the job, or `-` to read standard input";
    std::fs::read_to_string(file).map_err(|error| unreadable(file, "job document", &error, advice))
}

/// The directory where a document's relative paths begin.
#[must_use]
pub fn base_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Loads a job: document, modules, parameters, plan. Blocks while modules compile. Compiled code is kept in `cache`, or in
/// the cache of this user.
///
/// # Errors
/// A [`BadJob`], or what could not be read.
pub fn load(file: &Path, cache: Option<&Path>) -> anyhow::Result<LoadedJob> {
    let text = read_document(file)?;
    let bad = |problems| anyhow::Error::from(BadJob::new(file, &text, problems));
    let document = JobDocument::parse(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let problems: Vec<_> = validate_offline(&document).into_iter().filter(Problem::is_error).collect();
    if !problems.is_empty() {
        return Err(bad(problems));
    }
    let secrets = Secrets::default();
    let noted = |name: &str| std::env::var(name).ok().inspect(|value| secrets.note(name, value));
    let document = environment::resolve(&document, noted).map_err(bad)?;
    let base = base_of(file);
    let modules = read_modules(&document, &base).map_err(bad)?;
    let registry = wiring::modules(&cache.map_or_else(default_cache, Path::to_owned))?;
    let mut spec = prepare(document, &modules, &registry).map_err(bad)?;
    spec.veil = Arc::new(secrets);
    Ok(LoadedJob { spec, base })
}

fn read_modules(document: &JobDocument, base: &Path) -> Result<HashMap<NodeId, ModuleBytes>, Vec<Problem>> {
    let mut modules = HashMap::new();
    let mut problems = Vec::new();
    for (id, spec) in &document.operators {
        let at = format!("operators.{id}.module");
        match &spec.module {
            ModuleSource::Named(_) | ModuleSource::Hash(_) => problems.push(
                Problem::error(
                    at,
                    format!("`{}` is a module of a host, but `run` has none", String::from(spec.module.clone())),
                )
                .hint("give the path of the Wasm file, such as ./filter.wasm, or submit the job to a host".to_owned()),
            ),
            ModuleSource::File(path) => match std::fs::read(base.join(path)) {
                Ok(bytes) => {
                    let hash = ModuleHash(*blake3::hash(&bytes).as_bytes());
                    modules.insert(id.clone(), ModuleBytes { hash, bytes: Arc::from(bytes) });
                }
                Err(error) => problems.push(unreadable_module(id, path, base, &error)),
            },
        }
    }
    if problems.is_empty() { Ok(modules) } else { Err(problems) }
}

/// What to say of a module file that cannot be read.
pub(crate) fn unreadable_module(id: &NodeId, path: &str, base: &Path, error: &dyn fmt::Display) -> Problem {
    let from = if base == Path::new(".") { String::new() } else { format!(" from {}", base.display()) };
    Problem::error(format!("operators.{id}.module"), format!("module file `{path}`{from} cannot be read: {error}"))
        .hint("build it first; `make guests` builds the examples".to_owned())
}

/// The cache of this user: that of the build scripts, too.
pub(crate) fn default_cache() -> PathBuf {
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    home.unwrap_or_else(std::env::temp_dir).join("gristmill")
}
