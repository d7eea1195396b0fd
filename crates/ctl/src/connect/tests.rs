//! Endpoints as they are typed, and what is said when nothing answers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn settings(endpoint: &str) -> Settings {
    Settings {
        endpoint: endpoint.into(),
        cert: None,
        key: None,
        ca: None,
        server_name: None,
    }
}

#[test]
fn endpoints() {
    for (text, host) in [
        ("https://10.0.0.1:7443", "10.0.0.1"),
        ("https://[::1]:7443", "::1"),
        ("https://bed.example:7443", "bed.example"),
    ] {
        let Address::Tcp { host: parsed, .. } = Address::parse(text).unwrap() else {
            panic!("{text} is TCP");
        };
        assert_eq!(parsed, host);
    }
    assert_eq!(
        Address::parse("unix:///run/x.sock").unwrap(),
        Address::Unix("/run/x.sock".into())
    );
    for text in [
        "",
        "bed",
        "bed:7443",
        "http://bed:7443",
        "https://bed",
        "unix://x",
        "ftp://a:1",
    ] {
        assert_eq!(Address::parse(text).unwrap_err().exit_code(), 2, "{text}");
    }
}

#[tokio::test]
async fn nothing_there_is_unavailable_and_says_what_to_do() {
    let error = connect(&settings("unix:///nowhere/x.sock"))
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 5);
    let text = error.to_string();
    assert!(
        text.contains("/nowhere/x.sock") && text.contains("No such file"),
        "{text}"
    );
    assert!(text.contains("--endpoint"), "{text}");
}

#[tokio::test]
async fn tls_without_certificates_is_a_usage_error() {
    let mut settings = settings("https://127.0.0.1:1");
    let error = connect(&settings).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--cert"), "{error}");
    settings.cert = Some("/nowhere.pem".into());
    assert!(
        connect(&settings)
            .await
            .unwrap_err()
            .to_string()
            .contains("/nowhere.pem")
    );
}
