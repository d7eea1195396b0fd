//! A guest from its creation to its end, as a client sees it.

use tokio_stream::StreamExt as _;
use tonic::Code;
use xenios_api::v1;
use xenios_api::v1::watch_guests_response::Event;
use xenios_core::port::{GuestStore, ShutdownReason};
use xenios_core::{Exit, GuestId, PolicyChain};

use crate::fixture::{Fixture, create, delete, get, host, spec, until, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_runs_exits_and_disappears() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    let mut events = client.watch_guests(watch("")).await.unwrap().into_inner();
    let created = client.create_guest(create(spec("web"))).await.unwrap();
    let created = created.into_inner().guest.unwrap();
    let id: GuestId = created.id.parse().unwrap();
    let image = created.spec.unwrap().image;
    assert!(
        image.contains(":1@sha256:"),
        "references are pinned: {image}"
    );

    let starting = until(&mut events, v1::Phase::Starting).await;
    assert_eq!(starting.status.unwrap().host, "bed");
    while fixture.hypervisor.starts(id) == 0 {
        tokio::task::yield_now().await;
    }
    fixture.hypervisor.boot(id);
    let running = until(&mut events, v1::Phase::Running).await;
    assert!(running.status.unwrap().domid.is_some());

    let exit = Some(Exit::Code(7));
    fixture.hypervisor.stop(id, ShutdownReason::Poweroff, exit);
    fixture.host.supervisor.notify(id);
    let status = until(&mut events, v1::Phase::Exited).await.status.unwrap();
    assert_eq!(status.exit.unwrap().how, Some(v1::exit::How::Code(7)));
    let stages: Vec<_> = status.stages.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(stages, ["policy", "pull", "pack", "build", "boot"]);

    let deleting = client.delete_guest(delete("web")).await.unwrap();
    let phase = deleting.into_inner().status.unwrap().phase();
    assert_eq!(phase, v1::Phase::Deleting);
    until(&mut events, v1::Phase::Deleted).await;
    let after = client.get_guest(get("web")).await.unwrap_err();
    assert_eq!(after.code(), Code::NotFound);
    assert!(fixture.hypervisor.is_clean(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_found_by_id_and_by_name_and_names_are_taken_once() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    let created = client.create_guest(create(spec(""))).await.unwrap();
    let created = created.into_inner().guest.unwrap();
    let name = created.spec.unwrap().name;
    assert!(name.starts_with("guest-"), "{name}");
    for key in [&created.id, &name] {
        let found = client.get_guest(get(key)).await.unwrap().into_inner();
        assert_eq!(found.id, created.id);
    }
    for (key, code) in [
        ("", Code::InvalidArgument),
        ("no-such", Code::NotFound),
        ("../../etc", Code::NotFound),
        ("00000000-0000-4000-8000-000000000000", Code::NotFound),
    ] {
        let status = client.get_guest(get(key)).await.unwrap_err();
        assert_eq!(status.code(), code, "{key}");
    }
    let again = client.create_guest(create(spec(&name))).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    let planned = v1::CreateGuestRequest {
        spec: Some(spec(&name)),
        dry_run: true,
    };
    let again = client.create_guest(planned).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_guest_once_newest_first() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    for number in 0..7 {
        let spec = spec(&format!("g{number}"));
        client.create_guest(create(spec)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let request = v1::ListGuestsRequest {
            page_size: 3,
            page_token: token,
        };
        let page = client.list_guests(request).await.unwrap().into_inner();
        assert!(page.guests.len() <= 3);
        seen.extend(page.guests);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let key = |guest: &v1::Guest| {
        let time = guest.create_time.unwrap();
        (time.seconds, time.nanos, guest.id.clone())
    };
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| key(a) > key(b)), "newest first");
    for (size, token) in [(-1, ""), (1, "gibberish")] {
        let request = v1::ListGuestsRequest {
            page_size: size,
            page_token: token.to_owned(),
        };
        let status = client.list_guests(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn console_bytes_come_raw_from_an_offset_and_are_followed_to_the_end() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    let created = client.create_guest(create(spec("web"))).await.unwrap();
    let id: GuestId = created.into_inner().guest.unwrap().id.parse().unwrap();
    let log = fixture.host.consoles.log(id).unwrap();
    log.append(b"hello \x1b[31m\xff").unwrap();
    let request = |offset, follow| v1::GetConsoleLogRequest {
        guest: "web".to_owned(),
        offset,
        follow,
    };
    let once = client.get_console_log(request(6, false)).await.unwrap();
    let answers: Vec<_> = once.into_inner().collect().await;
    let [Ok(answer)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!((answer.offset, &answer.data[..]), (6, &b"\x1b[31m\xff"[..]));

    let follow = client.get_console_log(request(0, true)).await.unwrap();
    let mut follow = follow.into_inner();
    let first = follow.next().await.unwrap().unwrap();
    assert_eq!(first.data, b"hello \x1b[31m\xff");
    log.append(b"more").unwrap();
    let more = follow.next().await.unwrap().unwrap();
    assert_eq!((more.offset, &more.data[..]), (12, &b"more"[..]));
    client.delete_guest(delete("web")).await.unwrap();
    assert!(follow.next().await.is_none(), "ends with the guest");
    let path = fixture.dir.path().join(format!("console/{id}.log"));
    while path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_resumes_and_leaves_running_guests_alone() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    let mut events = client.watch_guests(watch("")).await.unwrap().into_inner();
    let created = client.create_guest(create(spec("web"))).await.unwrap();
    let id: GuestId = created.into_inner().guest.unwrap().id.parse().unwrap();
    until(&mut events, v1::Phase::Starting).await;
    while fixture.hypervisor.starts(id) == 0 {
        tokio::task::yield_now().await;
    }
    fixture.hypervisor.boot(id);
    until(&mut events, v1::Phase::Running).await;
    let stranger = fixture.hypervisor.intrude(GuestId::random());
    fixture.stopper.stop();
    let ended = events.next().await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    fixture.host.supervisor.stop().await;

    let chain = PolicyChain::new(Vec::new(), Vec::new(), 1);
    let again = host(fixture.dir.path(), chain, &fixture.hypervisor);
    assert_eq!(again.resume().unwrap(), 1);
    fixture.hypervisor.stop(id, ShutdownReason::Crash, None);
    again.supervisor.notify(id);
    let mut changes = again.store.changes();
    while changes
        .recv()
        .await
        .unwrap()
        .guest
        .status
        .condemned
        .is_some()
    {}
    let guest = again.store.load(id).unwrap().unwrap();
    assert_eq!(guest.phase(), xenios_core::Phase::Exited);
    assert_eq!(fixture.hypervisor.starts(id), 1, "started only once");
    let left: Vec<_> = fixture.hypervisor.domains();
    assert_eq!(left.len(), 1, "an unknown domain is never collected");
    assert_eq!(left[0].0, stranger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_one_guest_shows_no_other() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    for name in ["one", "two"] {
        client.create_guest(create(spec(name))).await.unwrap();
    }
    let mut events = client
        .watch_guests(watch("one"))
        .await
        .unwrap()
        .into_inner();
    client.delete_guest(delete("two")).await.unwrap();
    client.delete_guest(delete("one")).await.unwrap();
    let mut bookmarks = 0;
    loop {
        match events.next().await.unwrap().unwrap().event.unwrap() {
            Event::Bookmark(_) => bookmarks += 1,
            Event::Guest(guest) => {
                assert_eq!(guest.spec.unwrap().name, "one");
                if guest.status.unwrap().phase() == v1::Phase::Deleted {
                    break;
                }
            }
        }
    }
    assert_eq!(bookmarks, 1);
}
