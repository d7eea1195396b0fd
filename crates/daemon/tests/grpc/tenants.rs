//! Another tenant's guest is not found in every call, under its id and its name.

use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use xenios_api::v1;
use xenios_api::v1::watch_guests_response::Event;

use crate::fixture::{Client, Fixture, create, delete, get, spec, watch};

async fn logs(client: &mut Client, guest: &str) -> Result<(), Status> {
    let request = v1::GetConsoleLogRequest {
        guest: guest.to_owned(),
        ..v1::GetConsoleLogRequest::default()
    };
    let mut stream = client.get_console_log(request).await?.into_inner();
    while let Some(answer) = stream.next().await {
        answer?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_guest_is_not_found_in_every_call() {
    let fixture = Fixture::open().await;
    let mut owner = fixture.client("owner").await;
    let mut other = fixture.client("other").await;
    let created = owner.create_guest(create(spec("web"))).await.unwrap();
    let id = created.into_inner().guest.unwrap().id;

    for guest in [id.as_str(), "web"] {
        let codes = [
            other.get_guest(get(guest)).await.map(drop),
            other.delete_guest(delete(guest)).await.map(drop),
            other.watch_guests(watch(guest)).await.map(drop),
            logs(&mut other, guest).await,
        ];
        for (call, outcome) in codes.into_iter().enumerate() {
            let status = outcome.expect_err("another tenant was answered");
            assert_eq!(status.code(), Code::NotFound, "call {call} of {guest}");
            assert!(!status.message().contains(&id), "{}", status.message());
        }
        assert!(owner.get_guest(get(guest)).await.is_ok());
        assert!(logs(&mut owner, guest).await.is_ok());
    }
    let listed = other.list_guests(v1::ListGuestsRequest::default()).await;
    assert!(listed.unwrap().into_inner().guests.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_each_tenants_own_and_watches_show_only_their_guests() {
    let fixture = Fixture::open().await;
    let mut one = fixture.client("one").await;
    let mut two = fixture.client("two").await;
    one.create_guest(create(spec("web"))).await.unwrap();
    let mut watch = two.watch_guests(watch("")).await.unwrap().into_inner();
    let first = watch.next().await.unwrap().unwrap().event.unwrap();
    assert!(matches!(first, Event::Bookmark(_)), "{first:?}");
    one.create_guest(create(spec("db"))).await.unwrap();
    let created = two.create_guest(create(spec("web"))).await.unwrap();
    let own = created.into_inner().guest.unwrap().id;
    let Event::Guest(seen) = watch.next().await.unwrap().unwrap().event.unwrap() else {
        panic!("a second bookmark");
    };
    assert_eq!(seen.id, own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_of_another_tenant_shows_only_the_callers_guests() {
    let fixture = Fixture::open().await;
    let mut one = fixture.client("one").await;
    let mut two = fixture.client("two").await;
    for name in ["a", "b", "c"] {
        one.create_guest(create(spec(name))).await.unwrap();
    }
    let request = v1::ListGuestsRequest {
        page_size: 1,
        page_token: String::new(),
    };
    let page = one.list_guests(request).await.unwrap().into_inner();
    let request = v1::ListGuestsRequest {
        page_size: 10,
        page_token: page.next_page_token,
    };
    let stolen = two.list_guests(request).await.unwrap().into_inner();
    assert!(stolen.guests.is_empty());
}
