//! The client against a small xenstored over a real socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::server::Server;
use super::*;

fn path(text: &str) -> StorePath {
    StorePath::domain(DomId::ZERO).join(text)
}

fn start() -> (Server, Store) {
    let server = Server::start();
    let store = Store::at(server.socket.clone()).unwrap();
    (server, store)
}

#[test]
fn a_transaction_is_written_whole_and_read_back() {
    let (server, store) = start();
    let many = (0..100).map(|i| Edit::write(path(&format!("a/{i}")), i.to_string()));
    let mut edits: Vec<_> = many.collect();
    let owner = DomId::new(7).unwrap();
    edits.push(Edit::Grant(
        path("a"),
        Permissions {
            owner,
            reader: Some(DomId::ZERO),
        },
    ));
    edits.push(Edit::Remove(path("a/7")));
    edits.push(Edit::Remove(path("never/there")));
    store.apply(&edits).unwrap();

    assert_eq!(store.read(&path("a/42")).unwrap().unwrap(), b"42");
    assert_eq!(store.read(&path("a/7")).unwrap(), None);
    assert_eq!(store.list(&path("a")).unwrap().len(), 99);
    assert_eq!(store.list(&path("b")).unwrap(), Vec::<String>::new());
    assert!(
        server
            .state()
            .dump()
            .contains("/local/domain/0/a = \"\" (n7 r0)")
    );
}

#[test]
fn other_writers_are_met_with_another_try_but_not_forever() {
    let (server, store) = start();
    let edits = [Edit::write(path("a"), "1")];
    server.state().conflicts = 3;
    store.apply(&edits).unwrap();
    assert_eq!(server.state().value("/local/domain/0/a").unwrap(), "1");

    server.state().conflicts = u32::MAX;
    assert!(matches!(store.apply(&edits), Err(StoreError::Contended)));
}

#[test]
fn a_refused_edit_undoes_the_transaction_and_spares_the_connection() {
    let (server, store) = start();
    server.state().fail_after = Some(2);
    let edits = [
        Edit::write(path("a"), "1"),
        Edit::write(path("b"), "2"),
        Edit::write(path("c"), "3"),
    ];
    let error = store.apply(&edits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "xenstored refused to write /local/domain/0/b: EIO"
    );
    assert_eq!(server.state().dump(), "");
    store.apply(&edits).unwrap();
    assert_eq!(store.read(&path("c")).unwrap().unwrap(), b"3");
}

#[test]
fn a_daemon_that_was_restarted_is_found_again() {
    let (server, store) = start();
    store.apply(&[Edit::write(path("a"), "1")]).unwrap();
    for requests in 0..4 {
        server.state().hang_up_after = Some(requests);
        store
            .apply(&[Edit::write(path("a"), requests.to_string())])
            .unwrap();
        let value = store.read(&path("a")).unwrap().unwrap();
        assert_eq!(value, requests.to_string().into_bytes());
    }
}

#[test]
fn large_directories_come_in_parts() {
    let (_server, store) = start();
    let names: Vec<_> = (1000..2500).map(|i| format!("node-{i}")).collect();
    let edits: Vec<_> = names
        .iter()
        .map(|name| Edit::write(path("big").join(name), ""))
        .collect();
    store.apply(&edits).unwrap();
    assert_eq!(store.list(&path("big")).unwrap(), names);
}

#[test]
fn values_beyond_the_protocol_are_refused_before_they_are_sent() {
    let (server, store) = start();
    let edits = [Edit::write(path("a"), "x".repeat(4096))];
    assert!(matches!(
        store.apply(&edits),
        Err(StoreError::TooLarge { .. })
    ));
    assert_eq!(server.state().dump(), "");
    store.apply(&[Edit::write(path("a"), "small")]).unwrap();
}

#[test]
fn watches_fire() {
    let (_server, store) = start();
    let mut connection = store.watch(&["@releaseDomain"]).unwrap();
    let event = connection.next_event(Duration::from_secs(10)).unwrap();
    assert_eq!(event.as_deref(), Some("@releaseDomain"));
    assert_eq!(
        connection.next_event(Duration::from_millis(1)).unwrap(),
        None
    );
}

#[test]
fn nobody_listens() {
    let gone = PathBuf::from("/nonexistent/socket");
    assert!(matches!(
        Store::at(gone),
        Err(StoreError::Unreachable { .. })
    ));
}

#[test]
fn paths_from_outside_are_checked() {
    let base = StorePath::domain(DomId::new(3).unwrap());
    assert_eq!(
        base.try_join("data/exit").unwrap().as_str(),
        "/local/domain/3/data/exit"
    );
    assert_eq!(base.try_join(""), Err(PathError::Length(0)));
    assert_eq!(
        base.try_join(&"a".repeat(2000)),
        Err(PathError::Length(2000))
    );
    for bad in ["a//b", "/a", "a/", "/"] {
        assert_eq!(base.try_join(bad), Err(PathError::EmptyName), "{bad}");
    }
    for bad in ["..", "a b", "a\0b", "ä", "a\n"] {
        assert_eq!(base.try_join(bad), Err(PathError::Character), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_is_received_is_a_message_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let before = bytes.len();
        let decoded = wire::decode(&mut bytes);
        let taken = decoded.ok().flatten().map_or(0, |message| 16 + message.payload.len());
        prop_assert_eq!(bytes.len() + taken, before);
    }

    #[test]
    fn messages_survive_being_cut_anywhere(payload in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..316) {
        let whole = wire::encode(11, 5, 0, &payload);
        let cut = cut.min(whole.len());
        let mut received = whole[..cut].to_vec();
        if cut < whole.len() {
            prop_assert_eq!(wire::decode(&mut received), Ok(None));
            received.extend_from_slice(&whole[cut..]);
        }
        let message = wire::decode(&mut received).unwrap().unwrap();
        prop_assert_eq!((message.kind, message.request, message.payload), (11, 5, payload));
        prop_assert!(received.is_empty());
    }
}
