//! The daemon's configuration on a bed, as text.

use std::fmt::Write as _;
use std::path::Path;

/// The limits that the `size-limits` policy of the bed holds.
pub(crate) const MAX_VCPUS: u32 = 4;
/// As above, in MiB.
pub(crate) const MAX_MEMORY_MIB: u64 = 512;
/// What the `env-rewrite` policy of the bed sets.
pub(crate) const FORCED_ENV: (&str, &str) = ("LOG_LEVEL", "info");

/// A policy and its place in the chain.
pub(super) struct Binding {
    /// The file below the policies' folder, without `.wasm`.
    pub(super) name: &'static str,
    settings: fn(registry: &str) -> String,
    may_change: &'static [&'static str],
}

/// The product's policies. A kernel may come from the host, or from
/// `kernels/debian-cloud` and `hostile` of the registry.
pub(super) const PRODUCT: [Binding; 3] = [
    Binding {
        name: "env-rewrite",
        settings: |_| format!("set = {{ {} = \"{}\" }}", FORCED_ENV.0, FORCED_ENV.1),
        may_change: &["env"],
    },
    Binding {
        name: "size-limits",
        settings: |_| {
            format!(
                "max_vcpus = {MAX_VCPUS}, max_memory_mib = {MAX_MEMORY_MIB}, max_image_mib = 256"
            )
        },
        may_change: &[],
    },
    Binding {
        name: "allowed-kernels",
        settings: |registry| {
            format!(
                "host_default = true, images = [\"{registry}/kernels/debian-cloud\", \"{registry}/hostile/*\"]"
            )
        },
        may_change: &[],
    },
];

/// The policy that misbehaves as the guest's name says.
pub(super) const HOSTILE: [Binding; 1] = [Binding {
    name: "tests/tests-hostile",
    settings: |_| String::new(),
    may_change: &[],
}];

/// `policies` is the folder of the `.wasm` files, in dom0 or here.
pub(super) fn configuration(registry: &str, policies: &Path, bindings: &[Binding]) -> String {
    let mut text = format!(
        r#"host = "bed"
state_dir = "/var/lib/xenios"

[listen]
tcp = "0.0.0.0:7443"
unix = "/run/xenios/xeniosd.sock"

[tls]
certificate = "/etc/xenios/server.pem"
key = "/etc/xenios/server.key"
client_ca = "/etc/xenios/client-ca.pem"

[[unix_tenants]]
uid = 0
tenant = "operator"

[boot]
kernel = "/usr/lib/xenios/vmlinuz"
initrd = "/usr/lib/xenios/initrd"
cmdline = "console=hvc0 quiet"
# Under emulation a PV guest boots in a third of the time.
virtualization = "pv"

[[registries]]
authority = "{registry}"
plain_http = true
allow_private = true

[policy]
artifacts = "{artifacts}"
# Emulation is slow and stalls; on hardware 50 is plenty.
deadline_ms = 2000
slots = 8
"#,
        artifacts = super::ARTIFACTS,
    );
    for (place, binding) in (1..).zip(bindings) {
        let name = binding.name.rsplit('/').next().unwrap_or(binding.name);
        let file = policies.join(format!("{}.wasm", binding.name));
        let settings = (binding.settings)(registry);
        let result = write!(
            text,
            "\n[[policy.bindings]]\nname = \"{name}\"\nfile = \"{}\"\nsettings = {{ {settings} }}\n\
             priority = {}\n",
            file.display(),
            place * 10
        );
        result.expect("text can be appended to a string");
        if !binding.may_change.is_empty() {
            let result = writeln!(text, "may_change = {:?}", binding.may_change);
            result.expect("text can be appended to a string");
        }
    }
    text
}
