//! What wit-bindgen makes of `wit/`, and nothing else. The imports that a guest does not call leave no trace in it.
#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "keyed-operator",
    pub_export_macro: true,
    default_bindings_module: "contract::bindings",
});

/// The export of a guest that rewrites state, in a world of its own: the linker makes one of both.
pub mod migrations {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package gristmill:test-guests;
            world migrations { export gristmill:operator/migration@0.1.0; }
        ",
        world: "gristmill:test-guests/migrations",
        with: { "gristmill:operator/types@0.1.0": crate::bindings::gristmill::operator::types },
        pub_export_macro: true,
        export_macro_name: "export_migration",
        default_bindings_module: "contract::bindings::migrations",
    });
}

/// The export of a guest that shows its state, in a world of its own likewise.
pub mod inspections {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package gristmill:test-guests;
            world inspections { export gristmill:operator/inspection@0.1.0; }
        ",
        world: "gristmill:test-guests/inspections",
        pub_export_macro: true,
        export_macro_name: "export_inspection",
        default_bindings_module: "contract::bindings::inspections",
    });
}
