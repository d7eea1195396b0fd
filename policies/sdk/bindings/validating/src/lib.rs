//! The contract's `validating` world as wit-bindgen generates it from `policies/wit`.
//! Policies use `xenios-policy-sdk`, which hides it.
//!
//! Each world is a crate of its own, because the macros that wit-bindgen generates
//! for an interface that both export have one name.

wit_bindgen::generate!({
    path: "../../../wit",
    world: "validating",
    pub_export_macro: true,
    export_macro_name: "export_validating",
    default_bindings_module: "xenios_policy_validating",
    generate_all,
});
