//! Refusals, with the codes that the REST API promises to keep.

pub(crate) use gristmill_ports::module_registry::BAD_PARAMETERS;
use gristmill_ports::module_registry::Refusal;

/// The bytes are no WebAssembly at all.
pub(crate) const NOT_WASM: &str = "not-wasm";
/// The bytes end too early.
pub(crate) const TRUNCATED: &str = "truncated";
/// The bytes are WebAssembly, but do not hold together, or need what the engine does not have.
pub(crate) const INVALID_WASM: &str = "invalid-wasm";
/// A core module that does not say which interfaces it speaks.
pub(crate) const NO_COMPONENT_TYPES: &str = "no-component-types";
/// An interface of another version of the contract.
pub(crate) const WRONG_VERSION: &str = "wrong-contract-version";
/// An interface that a module must export is not there.
pub(crate) const MISSING_INTERFACE: &str = "missing-interface";
/// An import that this host does not give.
pub(crate) const FORBIDDEN_IMPORT: &str = "forbidden-import";
/// An interface whose functions or types are not those of the contract.
pub(crate) const WRONG_TYPES: &str = "wrong-types";
/// Instances of the module would take too much of the host.
pub(crate) const TOO_LARGE: &str = "too-large";
/// `describe` failed, or what it says cannot be.
pub(crate) const BAD_DESCRIPTOR: &str = "bad-descriptor";
/// The module wants something of the contract that this version of the host does not do.
pub(crate) const NOT_SERVED: &str = "not-served";
/// The parameters' schema is none.
pub(crate) const BAD_SCHEMA: &str = "bad-schema";

/// A refusal with one finding.
pub(crate) fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    Refusal { code: code.to_owned(), message: message.into(), details: Vec::new() }
}

/// A refusal with several findings, the first of which stands in the message. `None` if there is no finding.
pub(crate) fn refuse_all(code: &str, findings: Vec<String>) -> Option<Refusal> {
    let message = match findings.as_slice() {
        [] => return None,
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    };
    Some(Refusal { code: code.to_owned(), message, details: findings })
}
