//! The contract's `mutating` world as wit-bindgen generates it from `policies/wit`.
//! Policies use `xenios-policy-sdk`, which hides it. Types that both worlds have are
//! those of the validating one.

wit_bindgen::generate!({
    path: "../../../wit",
    world: "mutating",
    pub_export_macro: true,
    export_macro_name: "export_mutating",
    default_bindings_module: "xenios_policy_mutating",
    with: {
        "xenios:policy/types@1.0.0": xenios_policy_validating::xenios::policy::types,
        "xenios:policy/log@1.0.0": xenios_policy_validating::xenios::policy::log,
    },
});
