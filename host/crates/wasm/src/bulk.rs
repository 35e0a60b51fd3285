//! What one instance of a component would take of the host, read from its bytes: globals, tables and functions live in
//! the host's memory, where a guest's memory limit does not count them.
//!
//! Core instances are counted as often as they would be made: a component can make the same module a hundred times, and
//! nest components that do.

use gristmill_ports::module_registry::Refusal;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, ElementItems,
    Encoding, Instance, Parser, Payload,
};

use crate::fault::in_words;
use crate::refusal::{FORBIDDEN_IMPORT, INVALID_WASM, TOO_LARGE, refuse};

/// Bytes of the host that an instance may take beside its memories. An interpreter with its libraries takes about two.
const HOST_BYTES: u64 = 32 << 20;

/// What each thing takes, at least as much as in the engine.
const GLOBAL_BYTES: u64 = 16;
const TABLE_ELEMENT_BYTES: u64 = 8;
const FUNCTION_BYTES: u64 = 32;
const IMPORT_BYTES: u64 = 64;
const INSTANCE_BYTES: u64 = 1024;

/// Refuses a component whose instances would take too much of the host.
///
/// # Errors
/// How much it would be; or that it takes in whole components, which cannot be counted.
pub(crate) fn check(component: &[u8]) -> Result<(), Refusal> {
    let unsound = |error| refuse(INVALID_WASM, format!("the component does not hold together: {error}"));
    let mut walk = Walk::default();
    for payload in Parser::new(0).parse_all(component) {
        if !walk.take(payload.map_err(unsound)?).map_err(unsound)? {
            let sentence = "the component takes in core modules or components as imports or from instances, which this \
                            host does not serve: link them statically";
            return Err(refuse(FORBIDDEN_IMPORT, sentence));
        }
    }
    if walk.bytes > HOST_BYTES {
        let sentence = format!(
            "an instance of the module would take {} bytes of the host for its globals, tables and functions; at most {}",
            walk.bytes,
            in_words(usize::try_from(HOST_BYTES).unwrap_or(usize::MAX))
        );
        return Err(refuse(TOO_LARGE, sentence));
    }
    Ok(())
}

/// A module or a component that is being read.
#[derive(Default)]
struct Open {
    /// What one instance of it takes.
    bytes: u64,
    /// What one instance takes of each core module, and each component, that it knows, by index.
    modules: Vec<u64>,
    components: Vec<u64>,
    is_module: bool,
}

#[derive(Default)]
struct Walk {
    /// The outermost first.
    open: Vec<Open>,
    /// What the outermost takes, once it is read.
    bytes: u64,
}

impl Walk {
    /// Takes the next piece; says whether it can be counted.
    fn take(&mut self, payload: Payload<'_>) -> wasmparser::Result<bool> {
        match payload {
            Payload::Version { encoding, .. } => {
                let bytes = if encoding == Encoding::Module { INSTANCE_BYTES } else { 0 };
                self.open.push(Open { bytes, is_module: encoding == Encoding::Module, ..Open::default() });
            }
            Payload::End(_) => self.close(),
            Payload::ImportSection(imports) => self.add(imports.count().into(), IMPORT_BYTES),
            Payload::FunctionSection(functions) => self.add(functions.count().into(), FUNCTION_BYTES),
            Payload::GlobalSection(globals) => self.add(globals.count().into(), GLOBAL_BYTES),
            Payload::TableSection(tables) => {
                for table in tables {
                    self.add(table?.ty.initial, TABLE_ELEMENT_BYTES);
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    let count = match element?.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    self.add(count.into(), TABLE_ELEMENT_BYTES);
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.instantiate(|open| &open.modules, module_index);
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.instantiate(|open| &open.components, component_index);
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    if matches!(import?.ty, ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_)) {
                        return Ok(false);
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    // An export is a new name, and number, for what it exports.
                    self.rename(export.kind, export.index);
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    if !self.alias(&alias?) {
                        return Ok(false);
                    }
                }
            }
            // Code, data, types and names are shared by all instances.
            _ => {}
        }
        Ok(true)
    }

    fn add(&mut self, count: u64, bytes: u64) {
        if let Some(open) = self.open.last_mut() {
            open.bytes = open.bytes.saturating_add(count.saturating_mul(bytes));
        }
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(around) if closed.is_module => around.modules.push(closed.bytes),
            Some(around) => around.components.push(closed.bytes),
            None => self.bytes = closed.bytes,
        }
    }

    /// An index out of range takes nothing: the engine refuses it when it compiles.
    fn instantiate(&mut self, known: impl FnOnce(&Open) -> &Vec<u64>, index: u32) {
        let bytes = self.open.last().and_then(|open| known(open).get(index as usize).copied());
        self.add(1, bytes.unwrap_or(0));
    }

    fn rename(&mut self, kind: ComponentExternalKind, index: u32) {
        let Some(open) = self.open.last_mut() else { return };
        let known = match kind {
            ComponentExternalKind::Module => &mut open.modules,
            ComponentExternalKind::Component => &mut open.components,
            _ => return,
        };
        let bytes = known.get(index as usize).copied().unwrap_or(0);
        known.push(bytes);
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> bool {
        let &ComponentAlias::Outer { kind, count, index } = alias else {
            let ComponentAlias::InstanceExport { kind, .. } = alias else { return true };
            return !matches!(kind, ComponentExternalKind::Module | ComponentExternalKind::Component);
        };
        let outer = self.open.iter().rev().nth(count as usize);
        let bytes = |known: fn(&Open) -> &Vec<u64>| outer.and_then(|open| known(open).get(index as usize).copied());
        let (modules, components) = (bytes(|open| &open.modules), bytes(|open| &open.components));
        if let Some(open) = self.open.last_mut() {
            match kind {
                ComponentOuterAliasKind::CoreModule => open.modules.push(modules.unwrap_or(0)),
                ComponentOuterAliasKind::Component => open.components.push(components.unwrap_or(0)),
                _ => {}
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), Refusal> {
        check(&wat::parse_str(text).expect("a component"))
    }

    #[test]
    fn many_instances_of_a_module_with_many_globals_are_refused() {
        let module = format!("(core module $m {})", "(global i64 (i64.const 0))".repeat(10_000));
        let instances = |number: usize| "(core instance (instantiate $m))".repeat(number);
        assert!(checked(&format!("(component {module} {})", instances(10))).is_ok());
        let refusal = checked(&format!("(component {module} {})", instances(400))).expect_err("64 MB of globals");
        assert_eq!(refusal.code, TOO_LARGE);

        let nested = |times: usize| {
            let inner = "(instance (instantiate $c))".repeat(times);
            format!("(component {module} (component $c (alias outer 1 $m (core module $m)) {}) {inner})", instances(10))
        };
        assert!(checked(&nested(2)).is_ok());
        assert_eq!(checked(&nested(40)).expect_err("the same, nested").code, TOO_LARGE);
    }

    #[test]
    fn large_tables_and_modules_from_elsewhere_are_refused() {
        let table = "(component (core module $m (table 5000000 funcref)) (core instance (instantiate $m)))";
        assert_eq!(checked(table).expect_err("40 MB of table").code, TOO_LARGE);
        let unused = "(component (core module $m (table 5000000 funcref)))";
        assert!(checked(unused).is_ok(), "never instantiated");
        let imported = "(component (import \"m\" (core module $m)) (core instance (instantiate $m)))";
        assert_eq!(checked(imported).expect_err("a module from outside").code, FORBIDDEN_IMPORT);
    }
}
