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
