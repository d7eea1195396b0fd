//! Challenges as registries write them, and as they should not.

use proptest::prelude::*;

use super::*;

fn find(values: &[&str]) -> Option<Challenge> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
    }
    Challenge::find(&headers)
}

fn bearer(realm: &str, service: Option<&str>) -> Challenge {
    Challenge::Bearer {
        realm: realm.to_owned(),
        service: service.map(str::to_owned),
    }
}

#[test]
fn challenges_are_found() {
    let url = "https://auth.example/token";
    for (values, wanted) in [
        (&["Basic realm=\"x\""][..], Some(Challenge::Basic)),
        (&["BASIC"], Some(Challenge::Basic)),
        (
            &[
                "Bearer realm=\"https://auth.example/token\",service=\"a, b\",scope=\"repository:x:pull,push\"",
            ],
            Some(bearer(url, Some("a, b"))),
        ),
        (
            &["bearer Service=s , realm=https://auth.example/token"],
            Some(bearer(url, Some("s"))),
        ),
        (
            &[
                "Basic realm=x",
                "Bearer realm=\"https://auth.example/token\"",
            ],
            Some(bearer(url, None)),
        ),
        (&["Bearer realm=\"a\\\"b\""], Some(bearer("a\"b", None))),
        (&["Bearer realm=\"unterminated"], None),
        (&["Bearer service=\"s\""], None),
        (&["Negotiate"], None),
        (&[], None),
    ] {
        assert_eq!(find(values), wanted, "{values:?}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let value = basic(&Credentials {
        username: "u".to_owned(),
        password: "secret".to_owned(),
    })
    .unwrap();
    assert_eq!(value.to_str().unwrap(), "Basic dTpzZWNyZXQ=");
    assert_eq!(format!("{value:?}"), "Sensitive");
}

proptest! {
    #[test]
    fn any_parameters_are_parsed(text in "\\PC{0,80}|[a-z=\", \\\\]{0,80}") {
        parse_parameters(&text);
    }
}
