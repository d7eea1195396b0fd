//! A domain's own part of xenstore, as plain data.

use uuid::Uuid;

use super::DomainConfig;
use crate::build::Built;
use crate::domid::DomId;
use crate::xenstore::{Edit, Permissions, StorePath};

/// Any type but xenconsoled's own: it takes only consoles that carry its name.
const CONSOLE_TYPE: &str = "xenios";
/// How many bytes a backend may keep; libxl's number. For people who look.
const CONSOLE_LIMIT: &str = "1048576";

/// What the guest may write below its own node: what libxl gives a guest too
/// (`libxl__domain_make`). Linux says by `feature-*` which requests in
/// `control/shutdown` it would follow, and clears that node when it has read one.
/// Nothing here is believed.
const GUEST_OWNED: [&str; 8] = [
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
    "control/shutdown",
    "control/sysrq",
    "data",
    "drivers",
    "error",
];

/// The nodes of a domain that was built, in the order in which they are written.
pub(super) fn domain_edits(config: &DomainConfig<'_>, domain: DomId, built: &Built) -> Vec<Edit> {
    let home = StorePath::domain(domain);
    let vm = StorePath::vm(config.uuid);
    let kib = (config.memory_mib * 1024).to_string();
    let dom0_only = Permissions {
        owner: DomId::ZERO,
        reader: None,
    };
    let readable = Permissions {
        owner: DomId::ZERO,
        reader: Some(domain),
    };
    let owned = Permissions {
        owner: domain,
        reader: None,
    };
    let mut edits = vec![
        Edit::write(vm.clone(), ""),
        Edit::Grant(vm.clone(), dom0_only),
        Edit::write(vm.join("uuid"), config.uuid.to_string()),
        Edit::write(vm.join("name"), config.name),
        // Whatever was left here by a domain of the same number.
        Edit::Remove(home.clone()),
        Edit::write(home.clone(), ""),
        Edit::Grant(home.clone(), readable),
    ];
    let nodes: [(&str, &str); 12] = [
        ("vm", vm.as_str()),
        ("name", config.name),
        ("domid", &domain.to_string()),
        ("memory/static-max", &kib),
        ("memory/target", &kib),
        ("store/ring-ref", &built.store.frame.to_string()),
        ("store/port", &built.store.port.to_string()),
        ("console/type", CONSOLE_TYPE),
        ("console/limit", CONSOLE_LIMIT),
        ("console/output", "pty"),
        ("console/ring-ref", &built.console.frame.to_string()),
        ("console/port", &built.console.port.to_string()),
    ];
    edits.extend(nodes.map(|(name, value)| Edit::write(home.join(name), value)));
    for vcpu in 0..config.vcpus {
        edits.push(Edit::write(
            home.join(&format!("cpu/{vcpu}/availability")),
            "online",
        ));
    }
    for name in GUEST_OWNED {
        edits.push(Edit::write(home.join(name), ""));
        edits.push(Edit::Grant(home.join(name), owned));
    }
    edits
}

/// Removes everything that [`domain_edits`] made.
pub(super) fn removal(domain: DomId, uuid: Uuid) -> [Edit; 2] {
    [
        Edit::Remove(StorePath::vm(uuid)),
        Edit::Remove(StorePath::domain(domain)),
    ]
}
