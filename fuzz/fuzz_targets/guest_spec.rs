//! A tenant's spec, a field a line: name, image, kernel, initrd, working directory,
//! user, vCPUs, memory; then `e`, `l`, `p` and `c` lines for env, labels, entrypoint and
//! command.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_core::{Defaults, GuestName, GuestSpec, SpecDraft, Virtualization, diff};

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let mut draft = SpecDraft {
        name: next(),
        image: next(),
        kernel: next(),
        initrd: next(),
        working_dir: next(),
        user: next(),
        vcpus: next().parse().unwrap_or_default(),
        memory_mib: next().parse().unwrap_or_default(),
        ..SpecDraft::default()
    };
    for line in lines {
        let pair = |rest: &str| {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            (name.to_owned(), value.to_owned())
        };
        match line.split_at_checked(1) {
            Some(("e", rest)) => draft.env.push(pair(rest)),
            Some(("l", rest)) => draft.labels.push(pair(rest)),
            Some(("p", rest)) => draft.entrypoint.push(rest.to_owned()),
            Some(("c", rest)) => draft.command.push(rest.to_owned()),
            _ => {}
        }
    }
    let name: GuestName = "default".parse().expect("a name");
    let defaults = Defaults::new(Virtualization::Pvh, name);
    match GuestSpec::parse(draft, &defaults) {
        Ok(spec) => {
            let again = GuestSpec::parse(spec.to_draft(), &defaults).expect("it parses again");
            assert!(
                diff(&spec, &again).is_empty(),
                "a spec changes when it is parsed again"
            );
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
