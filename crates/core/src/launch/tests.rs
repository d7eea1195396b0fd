//! What runs, from image and spec.

use super::*;
use crate::fake::{boot_defaults, image_facts, submission};
use crate::spec::{GuestSpec, SpecDraft};

fn pinned(change: impl FnOnce(&mut SpecDraft)) -> PinnedSpec {
    let mut submission = submission("web");
    change(&mut submission.draft);
    let spec = GuestSpec::parse(submission.draft, &submission.defaults).unwrap();
    let defaults = boot_defaults();
    let image = image_facts(spec.image());
    PinnedSpec {
        spec,
        image,
        kernel: defaults.kernel,
        initrd: defaults.initrd,
    }
}

fn strings(parts: &[&str]) -> Vec<String> {
    parts.iter().map(ToString::to_string).collect()
}

#[test]
fn the_image_decides_what_the_spec_leaves_open() {
    let launch = pinned(|_| {}).launch().unwrap();
    assert_eq!(launch.argv, ["/entry", "serve"]);
    assert_eq!(
        (launch.working_dir.as_str(), launch.user.as_str()),
        ("/srv", "nobody")
    );
}

#[test]
fn the_spec_replaces_entrypoint_and_command() {
    let command = pinned(|draft| draft.command = strings(&["x", ""]));
    assert_eq!(command.launch().unwrap().argv, ["/entry", "x", ""]);
    let entrypoint = pinned(|draft| draft.entrypoint = strings(&["/bin/sh"]));
    assert_eq!(
        entrypoint.launch().unwrap().argv,
        ["/bin/sh"],
        "the image's cmd is set aside"
    );
}

#[test]
fn the_spec_env_replaces_by_name() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut spec = pinned(|draft| draft.env = vec![pair("LOG_LEVEL", "spec"), pair("A", "=")]);
    spec.image
        .config
        .env
        .extend(strings(&["PATH=/usr/bin", "=x", "broken"]));
    let expected = [
        pair("PATH", "/usr/bin"),
        pair("A", "="),
        pair("LOG_LEVEL", "spec"),
    ];
    assert_eq!(spec.launch().unwrap().env, expected);
}

#[test]
fn a_guest_without_a_program_is_refused() {
    let mut spec = pinned(|_| {});
    spec.image.config.entrypoint.clear();
    spec.image.config.cmd.clear();
    assert_eq!(spec.launch().unwrap_err().as_slice()[0].field, "command");
    spec.image.config.cmd = strings(&["", "x"]);
    assert!(spec.launch().is_err(), "an empty program is none");
}

#[test]
fn debug_shows_no_env_value() {
    let spec = pinned(|draft| draft.env = vec![("TOKEN".to_owned(), "hunter2".to_owned())]);
    let shown = format!("{spec:?} {:?} {:?}", spec.launch(), spec.to_draft());
    assert!(
        shown.contains("TOKEN") && !shown.contains("hunter2"),
        "{shown}"
    );
}
