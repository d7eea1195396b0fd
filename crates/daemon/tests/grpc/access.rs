//! Who is let in, and as whom.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tonic::Code;
use tonic::transport::Endpoint;
use xenios_api::v1::{GetConsoleLogRequest, ListGuestsRequest};
use xenios_daemon::identity::Identities;
use xenios_daemon::server::Api;

use crate::fixture::{Client, Fixture, create, delete, get, spec, watch};
use crate::pki::Pki;

/// The outcome of a call: a refused handshake shows up when connecting or after it.
async fn call(fixture: &Fixture, identity: Option<tonic::transport::Identity>) -> Option<Code> {
    let channel = fixture.channel(identity).await.ok()?;
    let answer = Client::new(channel)
        .list_guests(ListGuestsRequest::default())
        .await;
    Some(answer.map_or_else(|status| status.code(), |_| Code::Ok))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_of_the_authority_nothing_is_answered() {
    let fixture = Fixture::open().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Pki::new(elsewhere.path()).client("acme");
    for identity in [None, Some(foreign)] {
        let outcome = call(&fixture, identity).await;
        // Which error it is depends on when the client notices; an answer it is not.
        let answered = matches!(outcome, Some(Code::Ok | Code::Unauthenticated));
        assert!(!answered, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_exactly_one_tenant_is_unauthenticated() {
    let fixture = Fixture::open().await;
    let cases: [&[&str]; 4] = [
        &[],
        &["https://example.org/acme"],
        &["xenios://tenant/a", "xenios://tenant/b"],
        &["xenios://tenant/No"],
    ];
    for uris in cases {
        let identity = fixture.pki.client_with_uris(uris);
        let outcome = call(&fixture, Some(identity)).await;
        assert_eq!(outcome, Some(Code::Unauthenticated), "{uris:?}");
    }
    let good = fixture.pki.client("acme");
    assert_eq!(call(&fixture, Some(good)).await, Some(Code::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_is_never_taken_from_what_the_caller_sends() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    let mut sent = spec("web");
    sent.labels.insert("tenant".to_owned(), "victim".to_owned());
    let mut request = tonic::Request::new(create(sent));
    for key in ["tenant", "x-tenant", "authorization"] {
        let value = "xenios://tenant/victim".parse().unwrap();
        request.metadata_mut().insert(key, value);
    }
    client.create_guest(request).await.unwrap();
    let mut victim = fixture.client("victim").await;
    let seen = victim.list_guests(ListGuestsRequest::default()).await;
    assert!(seen.unwrap().into_inner().guests.is_empty());
}

/// A client on a socket that serves `api`.
async fn on_socket(fixture: &Fixture, api: Api) -> Client {
    let path = fixture.dir.path().join("run/x.sock");
    let listener = xenios_daemon::listen::bind_unix(&path).await.unwrap();
    tokio::spawn(api.serve_unix(listener));
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move {
            tokio::net::UnixStream::connect(path)
                .await
                .map(TokioIo::new)
        }
    });
    let channel = Endpoint::from_static("http://socket")
        .connect_with_connector(connector)
        .await
        .unwrap();
    Client::new(channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_socket_the_kernel_says_who_calls() {
    let fixture = Fixture::open().await;
    let mut client = on_socket(&fixture, fixture.api.clone()).await;
    client.create_guest(create(spec("web"))).await.unwrap();
    let mut operator = fixture.client("operator").await;
    let seen = operator.list_guests(ListGuestsRequest::default()).await;
    assert_eq!(seen.unwrap().into_inner().guests.len(), 1);
    let mut other = fixture.client("other").await;
    other.create_guest(create(spec("theirs"))).await.unwrap();
    let status = client.get_guest(get("theirs")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_socket_a_user_without_a_tenant_is_refused_in_every_call() {
    let fixture = Fixture::open().await;
    let nobody = Identities::default();
    let api = Api::new(Arc::clone(&fixture.host), nobody, fixture.stopper.watch());
    let mut client = on_socket(&fixture, api).await;
    let mut request = tonic::Request::new(create(spec("web")));
    let tenant = "xenios://tenant/operator".parse().unwrap();
    request.metadata_mut().insert("tenant", tenant);
    let outcomes = [
        client.create_guest(request).await.map(drop),
        client.get_guest(get("web")).await.map(drop),
        client
            .list_guests(ListGuestsRequest::default())
            .await
            .map(drop),
        client.delete_guest(delete("web")).await.map(drop),
        client.watch_guests(watch("")).await.map(drop),
        client
            .get_console_log(GetConsoleLogRequest::default())
            .await
            .map(drop),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().code(), Code::Unauthenticated);
    }
}
