//! Artifacts from inside: code that only looks like ours. What an operator can do to the
//! directory is tested from outside, in `tests/sandbox`.

use proptest::prelude::*;

use super::*;
use crate::engine::EngineConfig;

fn engine() -> PolicyEngine {
    let config = EngineConfig {
        slots: 1,
        ..EngineConfig::default()
    };
    PolicyEngine::new(&config).expect("an engine")
}

fn open(folder: &tempfile::TempDir) -> Artifacts {
    Artifacts::open(folder.path().join("artifacts")).expect("it is made")
}

/// Code of a runtime with another config may be sound in every way and is refused all
/// the same: here, it would run without fuel.
#[test]
fn code_of_another_config_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, artifacts) = (engine(), open(&folder));
    let component = wat::parse_str("(component)").expect("a component");
    let foreign = wasmtime::Engine::default()
        .precompile_component(&component)
        .expect("it compiles");
    let code = OwnCode::compiled(foreign);
    assert!(code.load(&engine).is_err());

    let key = Key::of(&engine, &component);
    let path = artifacts.dir.join(key.file_name());
    artifacts.write(&path, &key, &code).expect("it writes");
    let (_, prepared) = artifacts.load(&engine, &component).expect("it loads");
    assert_eq!(prepared, Prepared::Compiled);
    let (_, prepared) = artifacts.load(&engine, &component).expect("it loads");
    assert_eq!(prepared, Prepared::Found);
}

/// A crash while an artifact is written leaves a file that does not block the next.
#[test]
fn a_leftover_of_a_crash_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, artifacts) = (engine(), open(&folder));
    let component = wat::parse_str("(component)").expect("a component");
    let name = Key::of(&engine, &component).file_name();
    let leftover = artifacts.dir.join(format!(".{name}.tmp"));
    std::fs::write(&leftover, b"half").expect("it writes");
    let prepared = artifacts.prepare(&engine, &component).expect("it compiles");
    assert_eq!(prepared, Prepared::Compiled);
    assert!(!leftover.exists());
}

/// Two policies may be one component, and a daemon and a compile may run at once.
#[test]
fn writers_do_not_take_each_others_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let artifacts = open(&folder);
    let code = OwnCode::compiled(vec![7; 1 << 20]);
    let key = || Key {
        component: [1; DIGEST],
        compiler: [2; DIGEST],
    };
    let path = artifacts.dir.join(key().file_name());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    artifacts.write(&path, &key(), &code).expect("it writes");
                    let read = read(&path, &key()).expect("it is whole");
                    assert!(read.is_some_and(|read| read.0 == code.0));
                }
            });
        }
    });
    let left = std::fs::read_dir(&artifacts.dir)
        .expect("it is there")
        .count();
    assert_eq!(left, 1);
}

proptest! {
    #[test]
    fn only_sealed_bytes_are_code(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let key = Key { component: [1; DIGEST], compiler: [2; DIGEST] };
        prop_assert!(unseal(bytes.clone(), &key).is_none());

        let mut sealed = bytes.clone();
        sealed.extend(MAGIC);
        sealed.extend(key.seal(&bytes));
        let code = unseal(sealed.clone(), &key);
        prop_assert_eq!(code.map(|code| code.0), Some(bytes));

        let other = Key { component: [3; DIGEST], compiler: [2; DIGEST] };
        prop_assert!(unseal(sealed, &other).is_none());
    }
}
