//! What `wit-bindgen` makes of `wit/operator.wit`, and nothing else.
//!
//! One world serves every operator: the linker drops imports that nothing calls, so a module without state imports no
//! `state`, and the host sees only what the operator really uses.

wit_bindgen::generate!({
    path: "../wit",
    world: "keyed-operator",
    pub_export_macro: true,
    default_bindings_module: "gristmill_sdk::bindings",
    generate_all,
});

pub use inspections::exports::gristmill::operator::inspection;
pub use migrations::exports::gristmill::operator::migration;

/// The export of a module that shows its state, as [`migrations`] is that of one that rewrites it.
pub mod inspections {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package gristmill:sdk;
            world inspections { export gristmill:operator/inspection@0.1.0; }
        ",
        world: "gristmill:sdk/inspections",
        pub_export_macro: true,
        export_macro_name: "export_inspections",
        default_bindings_module: "gristmill_sdk::bindings::inspections",
    });
}

/// The export of a module that rewrites state: a world of its own, as only such a module exports it. The linker makes one
/// of both.
pub mod migrations {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package gristmill:sdk;
            world migrations { export gristmill:operator/migration@0.1.0; }
        ",
        world: "gristmill:sdk/migrations",
        with: { "gristmill:operator/types@0.1.0": crate::bindings::gristmill::operator::types },
        pub_export_macro: true,
        export_macro_name: "export_migrations",
        default_bindings_module: "gristmill_sdk::bindings::migrations",
    });
}
