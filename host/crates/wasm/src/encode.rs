//! From uploaded bytes to a component: as they are, or through wit-component where they are a core module that carries
//! component types, with the preview1 adapter where it was built for `wasip1`. So `cargo build` output can be uploaded
//! as it is.

use std::borrow::Cow;

use gristmill_ports::module_registry::{ModuleForm, Refusal};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::refusal::{INVALID_WASM, NO_COMPONENT_TYPES, NOT_WASM, TRUNCATED, refuse};

const MAGIC: &[u8; 4] = b"\0asm";

/// The bytes as a component, and what they were.
///
/// # Errors
/// Why they cannot be a component.
pub(crate) fn component(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, ModuleForm), Refusal> {
    let form = form_of(bytes)?;
    let component = match form {
        ModuleForm::Component => Cow::Borrowed(bytes),
        ModuleForm::CoreModule => Cow::Owned(encode(bytes, false)?),
        ModuleForm::Wasip1Module => Cow::Owned(encode(bytes, true)?),
    };
    Ok((component, form))
}

fn form_of(bytes: &[u8]) -> Result<ModuleForm, Refusal> {
    if !bytes.starts_with(MAGIC) {
        return Err(not_wasm(bytes));
    }
    let facts = Facts::of(bytes).map_err(|error| unsound(&error, bytes.len()))?;
    match facts.encoding {
        None => Err(refuse(TRUNCATED, format!("the module ends after {} bytes; upload the whole file", bytes.len()))),
        Some(Encoding::Component) => Ok(ModuleForm::Component),
        Some(Encoding::Module) if !facts.component_types => Err(refuse(
            NO_COMPONENT_TYPES,
            "this is a core module without component types, so nobody can tell which interfaces it speaks: build it \
             with wit-bindgen or the SDK, or make it a component with `wasm-tools component new`",
        )),
        Some(Encoding::Module) if facts.preview1 => Ok(ModuleForm::Wasip1Module),
        Some(Encoding::Module) => Ok(ModuleForm::CoreModule),
    }
}

/// What a walk over the sections shows.
#[derive(Default)]
struct Facts {
    encoding: Option<Encoding>,
    component_types: bool,
    preview1: bool,
}

impl Facts {
    fn of(bytes: &[u8]) -> wasmparser::Result<Self> {
        let mut facts = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } => facts.encoding = facts.encoding.or(Some(encoding)),
                Payload::CustomSection(section) => {
                    facts.component_types |= section.name().starts_with("component-type")
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        facts.preview1 |= import?.module == PREVIEW1;
                    }
                }
                // Nothing else tells one form from another.
                _ => {}
            }
        }
        Ok(facts)
    }
}

fn not_wasm(bytes: &[u8]) -> Refusal {
    if bytes.is_empty() {
        return refuse(NOT_WASM, "there are no bytes at all: upload a .wasm file");
    }
    if MAGIC.starts_with(bytes) {
        return refuse(TRUNCATED, format!("the module ends after {} bytes; upload the whole file", bytes.len()));
    }
    if bytes.trim_ascii_start().starts_with(b"(") {
        let sentence =
            "this looks like the text format of WebAssembly: upload the binary that `wasm-tools parse` makes of it";
        return refuse(NOT_WASM, sentence);
    }
    let first = bytes[..bytes.len().min(8)].escape_ascii();
    refuse(NOT_WASM, format!("this is not WebAssembly: it begins with \"{first}\" and not with \"\\x00asm\""))
}

fn unsound(error: &wasmparser::Error, size: usize) -> Refusal {
    let message = error.to_string();
    if message.contains("unexpected end") {
        return refuse(TRUNCATED, format!("the module is cut off after {size} bytes; upload the whole file"));
    }
    refuse(INVALID_WASM, format!("the module does not hold together: {message}"))
}

fn encode(bytes: &[u8], preview1: bool) -> Result<Vec<u8>, Refusal> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    let adapted = if preview1 { encoder.adapter(PREVIEW1, ADAPTER) } else { Ok(&mut encoder) };
    let encoded = adapted.and_then(|encoder| encoder.module(bytes)).and_then(ComponentEncoder::encode);
    encoded.map_err(|error| refuse(INVALID_WASM, format!("the core module cannot be made a component: {error:#}")))
}
