//! What the record of a guest promises.

use super::*;

#[test]
fn the_first_time_of_a_stage_stays() {
    let mut stages = Stages::default();
    stages.record(Stage::Boot, Duration::from_secs(2));
    stages.record(Stage::Pull, Duration::from_secs(1));
    stages.record(Stage::Pull, Duration::ZERO);
    let known: Vec<_> = stages
        .iter()
        .map(|(s, time)| (s.name(), time.as_secs()))
        .collect();
    assert_eq!(known, [("pull", 1), ("boot", 2)]);
}

#[test]
fn a_guest_to_be_deleted_is_deleting_whatever_its_status() {
    let mut guest = crate::fake::guest("a", "web", 1);
    assert_eq!(guest.phase(), Phase::Preparing);
    guest.desired = Desired::Deleted;
    assert_eq!(guest.phase(), Phase::Deleting);
}
