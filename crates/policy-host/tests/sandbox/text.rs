//! Components that are written as text: what no compiler makes by accident.

pub(crate) fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A component with the names of a validating policy and a core module for each of
/// `modules`, instantiated in order. Its exports have no parameters, so they are not
/// the contract's.
pub(crate) fn policy(modules: &[&str]) -> Vec<u8> {
    let define =
        |(n, core)| format!("(core module $m{n} {core}) (core instance (instantiate $m{n}))");
    let modules: Vec<String> = modules.iter().enumerate().map(define).collect();
    let modules = modules.concat();
    component(&format!(
        r#"(component
            {modules}
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $v (export "validate" (func $f)))
            (instance $s (export "validate-settings" (func $f)))
            (export "xenios:policy/validator@1.0.0" (instance $v))
            (export "xenios:policy/settings@1.0.0" (instance $s)))"#
    ))
}
