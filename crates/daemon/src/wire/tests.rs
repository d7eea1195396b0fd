//! Messages and models say the same.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use xenios_api::v1;
use xenios_core::fake::{guest as sample, pinned_spec};
use xenios_core::{Desired, DomId, Exit, State};

use super::{draft, gone, guest, spec};

#[test]
fn a_draft_survives_the_wire() {
    let before = pinned_spec("web").to_draft();
    assert_eq!(draft(spec(before.clone())).unwrap(), before);
}

#[test]
fn an_unknown_virtualization_is_a_field_error() {
    let message = v1::GuestSpec {
        virtualization: 9,
        ..v1::GuestSpec::default()
    };
    let errors = draft(message).unwrap_err();
    assert_eq!(errors.as_slice()[0].field, "virtualization");
}

#[test]
fn a_guest_is_shown_pinned_and_with_its_end() {
    let mut model = sample("a", "web", 1_700_000_000_123);
    model.status.state = State::Exited {
        exit: Exit::Signal(9),
    };
    model.status.condemned = DomId::new(4);
    let message = guest(&model, "bed");
    let image = message.spec.unwrap().image;
    assert!(image.contains("@sha256:"), "{image}");
    let time = message.create_time.unwrap();
    assert_eq!((time.seconds, time.nanos), (1_700_000_000, 123_000_000));
    let status = message.status.unwrap();
    assert_eq!(status.phase(), v1::Phase::Exited);
    assert_eq!(status.domid, Some(4));
    assert_eq!(status.exit.unwrap().how, Some(v1::exit::How::Signal(9)));
    assert_eq!(status.stages[0].stage, "policy");
    model.desired = Desired::Deleted;
    let shown = |message: v1::Guest| message.status.unwrap();
    assert_eq!(shown(guest(&model, "bed")).phase(), v1::Phase::Deleting);
    assert_eq!(shown(gone(&model, "bed")).phase(), v1::Phase::Deleted);
    assert_eq!(shown(gone(&model, "bed")).domid, None);
}
