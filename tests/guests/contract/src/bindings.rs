//! What wit-bindgen makes of `wit/`, and nothing else. The imports that a guest does not call leave no trace in it.
#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "keyed-operator",
    pub_export_macro: true,
    default_bindings_module: "contract::bindings",
});
