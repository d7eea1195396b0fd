//! What one tenant does is bounded, and leaves room for the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tonic::Code;
use xenios_api::v1;
use xenios_core::PolicyChain;
use xenios_core::fake::FnValidator;
use xenios_core::policy::{Judgement, Report, Verdict};

use crate::fixture::{Fixture, create, spec, watch};

/// Decisions of the tenant `greedy` take until the gate is opened.
#[derive(Default)]
struct Gate {
    inside: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
}

fn chain(gate: &Arc<Gate>) -> PolicyChain {
    let gate = Arc::clone(gate);
    let slow = FnValidator::new("slow", move |request| {
        if request.tenant.as_str() == "greedy" {
            gate.inside.fetch_add(1, Ordering::SeqCst);
            let open = gate.open.lock().unwrap();
            drop(gate.opened.wait_while(open, |open| !*open).unwrap());
        }
        Ok(Judgement {
            verdict: Verdict::Allow,
            report: Report::default(),
        })
    });
    PolicyChain::new(Vec::new(), vec![Box::new(slow)], 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_are_given_up_pile_up_no_work_and_leave_room_for_others() {
    let gate = Arc::new(Gate::default());
    let fixture = Fixture::with_chain(chain(&gate)).await;
    let greedy = fixture.client("greedy").await;
    for number in 0..12 {
        let mut client = greedy.clone();
        let request = create(spec(&format!("g{number}")));
        let call = client.create_guest(request);
        // Long enough to be begun; the caller then resets the stream.
        let given_up = tokio::time::timeout(Duration::from_millis(60), call).await;
        assert!(given_up.is_err());
    }
    let inside = gate.inside.load(Ordering::SeqCst);
    let mut other = fixture.client("other").await;
    let meanwhile = other.create_guest(create(spec("web"))).await;
    // Before anything is asserted: the runtime waits for its threads.
    *gate.open.lock().unwrap() = true;
    gate.opened.notify_all();
    assert!(inside <= 4, "{inside} at the same time");
    meanwhile.unwrap();

    // What was given up while it was being decided is not made afterwards.
    let mut client = greedy.clone();
    client.create_guest(create(spec("last"))).await.unwrap();
    let listed = client.list_guests(v1::ListGuestsRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().guests.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_specs_is_small_enough_to_be_read() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    for number in 0..80 {
        let mut large = spec(&format!("g{number}"));
        large.env = vec![v1::EnvVar {
            name: "LARGE".to_owned(),
            value: "x".repeat(60_000),
        }];
        client.create_guest(create(large)).await.unwrap();
    }
    let mut request = v1::ListGuestsRequest::default();
    let mut names = std::collections::BTreeSet::new();
    loop {
        // A client that sets no limit of its own takes 4 MiB.
        let page = client.list_guests(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert!(!page.guests.is_empty());
        names.extend(page.guests.into_iter().map(|g| g.spec.unwrap().name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_too_many_streams_is_refused_another_and_nobody_else_is() {
    let fixture = Fixture::open().await;
    let mut greedy = fixture.client("greedy").await;
    let mut held = Vec::new();
    let refused = loop {
        match greedy.watch_guests(watch("")).await {
            Ok(stream) => held.push(stream),
            Err(status) => break status,
        }
        assert!(held.len() < 1000, "no end of streams");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let mut other = fixture.client("other").await;
    other.watch_guests(watch("")).await.unwrap();
}
