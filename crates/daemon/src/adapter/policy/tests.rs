//! What a policy is shown is what the chain holds, and what it gives back arrives.

use xenios_core::Usage;
use xenios_core::fake::{pinned_spec, tenant};
use xenios_core::policy::{Operation, PolicyRequest};
use xenios_policy_host::BootFile;

use super::convert::{draft, request};

#[test]
fn a_spec_survives_the_way_to_a_policy_and_back() {
    let pinned = pinned_spec("web");
    let tenant = tenant("acme");
    let asked = request(&PolicyRequest {
        tenant: &tenant,
        user: "ann",
        operation: Operation::Create,
        dry_run: true,
        now_ms: 7,
        usage: Usage {
            guests: 1,
            vcpus: 2,
            memory_mib: 3,
        },
        spec: &pinned.spec,
        pinned: Some(&pinned),
    });
    assert_eq!(draft(asked.spec), pinned.spec.to_draft());
    assert_eq!((asked.usage.guests, asked.usage.vcpus), (1, 2));
    let shown = asked.pinned.map(|pinned| (pinned.kernel, pinned.initrd));
    assert!(matches!(
        shown,
        Some((BootFile::Image(_), BootFile::HostDefault { .. }))
    ));
}
