//! `gristmill module …`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use gristmill_server::control::ModuleRef;
use gristmill_types::ModuleName;
use reqwest::Method;
use serde_json::Value;

use super::api::Api;
use super::output::{Output, field, table};
use crate::words::{read_file, unreadable};

/// Uploads modules and looks at them.
#[derive(Subcommand)]
pub(crate) enum ModuleCommand {
    /// Uploads a component, or a core module as `cargo build` leaves it.
    Push {
        /// The Wasm file.
        file: PathBuf,
        /// The name to upload it under, such as enrich@1.2.0. Without one it is known by its hash.
        #[arg(long, value_name = "NAME@VERSION")]
        name: Option<ModuleName>,
        /// Only says whether it would be admitted.
        #[arg(long)]
        dry_run: bool,
    },
    /// Lists modules, newest first.
    List,
    /// Shows what a module declares.
    Inspect {
        /// name@version, hash, or the hash's first digits (6 at least).
        module: ModuleRef,
    },
    /// Forgets a name, and the module with its last name or by its hash. Refused while a job uses it.
    Delete {
        /// name@version, hash, or the hash's first digits (6 at least).
        module: ModuleRef,
    },
}

pub(crate) async fn perform(command: ModuleCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    match command {
        ModuleCommand::Push { file, name, dry_run } => {
            let answer = push(api, &file, name.as_ref(), dry_run).await?;
            out.result(&answer, pushed)?;
        }
        ModuleCommand::List => {
            let answer = api.get("/v1/modules").await?;
            out.result(&answer, listed)?;
        }
        ModuleCommand::Inspect { module } => {
            let answer = api.get(&format!("/v1/modules/{module}")).await?;
            out.result(&answer, |module| {
                format!("{}\n{}", names(module), described(&module["hash"], &module["admission"]))
            })?;
        }
        ModuleCommand::Delete { module } => {
            let answer = api.delete(&format!("/v1/modules/{module}")).await?;
            out.result(&answer, forgotten)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads a file; gives the host's answer.
pub(crate) async fn push(
    api: &Api,
    file: &std::path::Path,
    name: Option<&ModuleName>,
    dry_run: bool,
) -> anyhow::Result<Value> {
    let advice = "give the Wasm file that the build of the guest has left";
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, "module", &error, advice))?;
    if !metadata.is_file() {
        bail!("`{}` is no file, and is to be the module; {advice}", file.display());
    }
    let bytes = read_file(file, "module", advice)?;
    let name = name.map(|name| ("name", name.to_string()));
    let query = name.into_iter().chain(dry_run.then(|| ("dry_run", "true".to_owned())));
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let request = api.request(Method::POST, &format!("/v1/modules?{query}")).header("content-type", "application/wasm");
    api.json(request.body(bytes)).await.with_context(|| format!("pushing {}", file.display()))
}

fn pushed(answer: &Value) -> String {
    let what = match field(answer, "outcome").as_str() {
        "created" => "uploaded",
        "named" => "known already, named anew",
        "dry-run" => "would be admitted",
        _ => "known already",
    };
    let name = field(answer, "name");
    let name = if name.is_empty() { String::new() } else { format!("{name} ") };
    format!("{name}{what}\n{}", described(&answer["hash"], &answer["admission"]))
}

/// What a deletion took away, and what it left.
fn forgotten(answer: &Value) -> String {
    let module = format!("module {}", short(&field(answer, "hash")));
    let names = joined(&answer["forgotten_names"]);
    match (answer["module_forgotten"].as_bool(), names.is_empty()) {
        (Some(true), true) => format!("{module} is forgotten; it had no name"),
        (Some(true), false) => format!("{module} is forgotten, and with it the name {names}"),
        _ => format!("{names} is forgotten; {module} is still known as {}", joined(&answer["kept_names"])),
    }
}

fn names(module: &Value) -> String {
    let names = joined(&module["names"]);
    if names.is_empty() { "(no name)".to_owned() } else { names }
}

fn joined(names: &Value) -> String {
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.join(", ")
}

/// As much of a hash as a list has room for.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

fn described(hash: &Value, admission: &Value) -> String {
    let descriptor = &admission["descriptor"];
    let list = |items: &Value, show: &dyn Fn(&Value) -> String| {
        let shown: Vec<String> = items.as_array().into_iter().flatten().map(show).collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    let keyed = |input: &Value| match input["keyed"].as_bool() {
        Some(true) => format!("{} (keyed)", field(input, "name")),
        _ => field(input, "name"),
    };
    let state = |state: &Value| {
        format!("{} ({}, version {})", field(state, "name"), field(state, "kind"), field(state, "version"))
    };
    let mut lines = vec![
        format!("hash     {}", hash.as_str().unwrap_or_default()),
        format!("form     {}, {} bytes", field(admission, "form"), field(admission, "size_bytes")),
        format!("cache    {} ({} ms compiling)", field(admission, "cache"), field(admission, "compile_ms")),
        format!("inputs   {}", list(&descriptor["inputs"], &keyed)),
        format!("outputs  {}", list(&descriptor["outputs"], &|output| field(output, "name"))),
        format!("states   {}", list(&descriptor["states"], &state)),
    ];
    for import in admission["imports"].as_array().into_iter().flatten() {
        lines.push(format!("import   {}: {}", field(import, "interface"), field(import, "given")));
    }
    for warning in admission["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("warning  {warning}"));
    }
    lines.join("\n")
}

fn listed(answer: &Value) -> String {
    let row = |module: &Value| {
        let admission = &module["admission"];
        vec![
            names(module),
            short(&field(module, "hash")),
            field(admission, "form"),
            field(admission, "size_bytes"),
            field(module, "created_at"),
        ]
    };
    let rows: Vec<_> = answer["modules"].as_array().into_iter().flatten().map(row).collect();
    table(&["NAME", "HASH", "FORM", "BYTES", "CREATED"], &rows)
}
