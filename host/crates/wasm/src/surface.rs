//! What a component imports and exports, read from its bytes without compiling or running anything (rule 2).

use gristmill_ports::module_registry::{ImportNote, Refusal};
use wasmparser::{Parser, Payload};

use crate::refusal::{
    FORBIDDEN_IMPORT, INVALID_WASM, MISSING_INTERFACE, NOT_SERVED, WRONG_VERSION, refuse, refuse_all,
};

/// The package of the contract, and its version that this host speaks. As 0.1.x may only add (rule 4), it serves every
/// 0.1.y with y ≤ x; a module of a later one may need what is not here.
const CONTRACT: &str = "gristmill:operator/";
const CONTRACT_VERSION: &str = "0.1.0";
const CONTRACT_SERIES: &str = "0.1.";
const CONTRACT_PATCH: u32 = 0;

/// Packages of WASI 0.2 of which an empty world is given.
const EMPTY_WORLD: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Interfaces of the contract that a module may export and that this host calls.
const CALLED: [&str; 5] = ["guest", "processor", "event-handler", "migration", "inspection"];

/// The names at a component's surface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Surface {
    /// Reads the surface of a component.
    ///
    /// # Errors
    /// If the bytes are no sound component.
    pub(crate) fn of(component: &[u8]) -> Result<Self, Refusal> {
        read(component).map_err(|error| refuse(INVALID_WASM, format!("the component does not hold together: {error}")))
    }

    /// Whether the module imports this interface of the contract.
    pub(crate) fn imports(&self, interface: &str) -> bool {
        self.imports.iter().any(|name| contract_interface(name) == Some(interface))
    }

    /// Whether the module exports this interface of the contract.
    pub(crate) fn exports(&self, interface: &str) -> bool {
        self.exports.iter().any(|name| contract_interface(name) == Some(interface))
    }

    /// The exports through which the host will call.
    pub(crate) fn called(&self) -> Vec<String> {
        let is_called = |name: &&String| contract_interface(name).is_some_and(|interface| CALLED.contains(&interface));
        self.exports.iter().filter(is_called).cloned().collect()
    }

    /// Every import with what stands behind it.
    ///
    /// # Errors
    /// The imports that this host does not give, all of them, with what to do.
    pub(crate) fn check_imports(&self) -> Result<Vec<ImportNote>, Refusal> {
        let mut notes = Vec::new();
        let mut findings: Vec<(&str, String)> = Vec::new();
        for interface in &self.imports {
            match given_for(interface) {
                Ok(given) => notes.push(ImportNote { interface: interface.clone(), given: given.to_owned() }),
                Err(finding) => findings.push(finding),
            }
        }
        let Some((code, _)) = findings.first() else { return Ok(notes) };
        let refusal = refuse_all(code, findings.iter().map(|(_, sentence)| sentence.clone()).collect());
        Err(refusal.expect("there is a first finding"))
    }

    /// Refuses a component that exports nothing the host could call.
    ///
    /// # Errors
    /// Which interface is missing.
    pub(crate) fn check_exports(&self) -> Result<(), Refusal> {
        if let Some(other) = self.exports.iter().find(|name| is_other_version(name)) {
            return Err(wrong_version("exports", other));
        }
        match (self.exports("guest"), self.exports("processor"), self.exports("event-handler")) {
            (true, true, _) | (false, false, true) => Ok(()),
            (false, true, _) => Err(missing("guest", "it exports `processor`, whose ports only `describe` can name")),
            (true, false, true) => Err(missing(
                "processor",
                "it exports `guest` and `event-handler`; a module that describes itself is called through `processor`",
            )),
            (true, false, false) => Err(self.missing_processor()),
            (false, false, false) => Err(self.nothing_of_ours()),
        }
    }

    fn nothing_of_ours(&self) -> Refusal {
        let found: Vec<String> = self.exports.iter().take(5).map(|name| format!("`{name}`")).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        let why =
            format!("an operator exports `guest` and `processor`, or `event-handler` alone; this one exports {found}");
        missing("processor", &why)
    }

    fn missing_processor(&self) -> Refusal {
        if self.exports("window-function") {
            let sentence = "the module is a window function; this version of the host does not serve windows";
            return refuse(NOT_SERVED, sentence);
        }
        missing("processor", "it exports `guest`, but nothing that takes events")
    }

    /// Exports of the contract that nothing calls yet, each with a warning.
    pub(crate) fn uncalled(&self) -> Vec<String> {
        let uncalled = ["timer-handler", "window-function"];
        let exported = uncalled.iter().filter(|interface| self.exports(interface));
        exported
            .map(|name| format!("the module exports `{name}`, which this version of the host never calls"))
            .collect()
    }
}

fn read(component: &[u8]) -> wasmparser::Result<Surface> {
    let mut surface = Surface::default();
    // Only what stands at depth one is the component's own; nested ones end with an `End` each.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    surface.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    surface.exports.push(export?.name.name.to_owned());
                }
            }
            // Everything else is inside.
            _ => {}
        }
    }
    Ok(surface)
}

/// `state` of `gristmill:operator/state@0.1.0`; nothing for other packages, and versions that are not served.
fn contract_interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(CONTRACT)?.split_once('@')?;
    let patch = version.strip_prefix(CONTRACT_SERIES)?.parse::<u32>().ok()?;
    (0..=CONTRACT_PATCH).contains(&patch).then_some(interface)
}

fn is_other_version(name: &str) -> bool {
    name.starts_with(CONTRACT) && contract_interface(name).is_none()
}

/// What an import gets, or why it gets nothing.
fn given_for(name: &str) -> Result<&'static str, (&'static str, String)> {
    if is_other_version(name) {
        return Err((WRONG_VERSION, wrong_version("imports", name).message));
    }
    match contract_interface(name) {
        Some("types") => return Ok("types only"),
        Some("log") => return Ok("lines of the operator's log"),
        Some("metrics") => return Ok("the operator's metrics"),
        Some("state" | "event-state") => return Ok("the states that it declares"),
        Some("timers") => {
            let sentence = format!("the module imports `{name}`; this version of the host does not serve timers");
            return Err((NOT_SERVED, sentence));
        }
        Some(_) => {
            let sentence =
                format!("the module imports `{name}`, which version {CONTRACT_VERSION} of the contract does not have");
            return Err((FORBIDDEN_IMPORT, sentence));
        }
        None => {}
    }
    if name.contains("@0.2.") && EMPTY_WORLD.iter().any(|package| name.starts_with(package)) {
        return Ok("an empty world: no files, no network, no environment");
    }
    Err((FORBIDDEN_IMPORT, forbidden(name)))
}

fn forbidden(name: &str) -> String {
    if EMPTY_WORLD.iter().any(|package| name.starts_with(package)) {
        return format!("the module imports `{name}`; of WASI this host gives version 0.2: build for wasip2 or wasip1");
    }
    format!(
        "the module imports `{name}`, which this host gives to nobody; an operator has `{CONTRACT}*` and an empty world \
         of WASI: remove what needs it"
    )
}

fn wrong_version(verb: &str, name: &str) -> Refusal {
    let sentence = format!(
        "the module {verb} `{name}`, but this host speaks {CONTRACT}*@{CONTRACT_VERSION}: build it against that wit/"
    );
    refuse(WRONG_VERSION, sentence)
}

fn missing(interface: &str, why: &str) -> Refusal {
    let name = format!("{CONTRACT}{interface}@{CONTRACT_VERSION}");
    refuse(MISSING_INTERFACE, format!("the module does not export `{name}`: {why}"))
}
