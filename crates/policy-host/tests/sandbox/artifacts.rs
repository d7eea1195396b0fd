//! The directory of compiled policies.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use xenios_policy_host::{
    ArtifactError, Artifacts, EngineConfig, Policy, PolicySource, Prepared, Verdict,
};

use crate::components::{ENGINE, built, engine, generous};
use crate::requests;

fn load(artifacts: &Artifacts) -> Policy {
    let source = PolicySource {
        name: "size-limits",
        component: &built("size-limits.wasm"),
        settings: r#"{ "max_vcpus": 4 }"#,
    };
    let policy = Policy::load(&ENGINE, &source, Some(artifacts)).expect("it loads");
    let judgement = policy.validate(&requests::validating()).expect("an answer");
    assert_eq!(judgement.verdict, Verdict::Allow);
    policy
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().expect("a file")
}

#[test]
fn a_policy_is_compiled_once() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("state/artifacts");
    let artifacts = Artifacts::open(&folder).expect("it is made");
    assert_eq!(
        fs::metadata(&folder).expect("a folder").mode() & 0o777,
        0o700
    );

    assert_eq!(load(&artifacts).prepared(), Prepared::Compiled);
    let file = only_file(&folder);
    let written = fs::metadata(&file).expect("a file");
    assert_eq!(written.mode() & 0o777, 0o600);

    assert_eq!(load(&artifacts).prepared(), Prepared::Found);
    // A later process, with another budget.
    let other = engine(&EngineConfig {
        fuel: 1_000_000,
        slots: 1,
        ..generous()
    });
    let again = Artifacts::open(&folder).expect("it opens");
    let prepared = again
        .prepare(&other, &built("size-limits.wasm"))
        .expect("it is there");
    assert_eq!(prepared, Prepared::Found);
    assert_eq!(fs::metadata(&file).expect("a file").ino(), written.ino());
}

#[test]
fn a_damaged_artifact_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    let artifacts = Artifacts::open(folder.path()).expect("it opens");
    load(&artifacts);
    let file = only_file(folder.path());
    let whole = fs::read(&file).expect("a file");

    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    let last = whole.len() - 1;
    let mut other_seal = whole.clone();
    other_seal[last] ^= 1;
    let cases = [
        ("empty", Vec::new()),
        ("short", whole[..20].to_vec()),
        ("torn", whole[..middle].to_vec()),
        ("without its end", whole[..last].to_vec()),
        ("longer", [whole.as_slice(), b"x"].concat()),
        ("flipped", flipped),
        ("other seal", other_seal),
    ];
    for (name, bytes) in cases {
        fs::write(&file, bytes).expect("it writes");
        assert_eq!(load(&artifacts).prepared(), Prepared::Compiled, "{name}");
        assert_eq!(load(&artifacts).prepared(), Prepared::Found, "{name}");
    }
    assert_eq!(
        only_file(folder.path()),
        file,
        "nothing else is left behind"
    );
}

/// Code of one policy must not be run as another.
#[test]
fn an_artifact_under_another_name_is_not_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    let artifacts = Artifacts::open(folder.path()).expect("it opens");
    load(&artifacts);
    let file = only_file(folder.path());
    artifacts
        .prepare(&ENGINE, &built("allowed-kernels.wasm"))
        .expect("it compiles");
    let other = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| *path != file)
        .expect("the other file");
    fs::copy(other, &file).expect("it copies");
    assert_eq!(load(&artifacts).prepared(), Prepared::Compiled);
}

#[test]
fn what_others_can_write_is_not_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    for mode in [0o777, 0o720, 0o702] {
        chmod(folder.path(), mode);
        let error = Artifacts::open(folder.path()).expect_err("others can write");
        assert!(matches!(error, ArtifactError::Exposed { .. }), "{error}");
        assert!(
            error.to_string().contains("can be written by others"),
            "{error}"
        );
    }
    chmod(folder.path(), 0o700);
    let artifacts = Artifacts::open(folder.path()).expect("it opens");
    load(&artifacts);
    let file = only_file(folder.path());
    chmod(&file, 0o622);
    assert_eq!(load(&artifacts).prepared(), Prepared::Compiled);
    assert_eq!(fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);

    // A link leads to what somebody else may own.
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).expect("it moves");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    assert_eq!(load(&artifacts).prepared(), Prepared::Compiled);
    assert!(fs::symlink_metadata(&file).expect("a file").is_file());
}

#[test]
fn a_file_or_a_link_is_not_a_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, b"").expect("it writes");
    assert!(Artifacts::open(&file).is_err());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).expect("a link");
    assert!(matches!(
        Artifacts::open(&link),
        Err(ArtifactError::Exposed { .. })
    ));
}

/// The directory only saves time.
#[test]
fn a_policy_loads_without_room_for_its_artifact() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = folder.path().join("artifacts");
    let artifacts = Artifacts::open(&gone).expect("it is made");
    fs::remove_dir(&gone).expect("it goes");
    assert_eq!(load(&artifacts).prepared(), Prepared::Compiled);
    assert!(
        artifacts
            .prepare(&ENGINE, &built("size-limits.wasm"))
            .is_err()
    );
}
