//! What a configuration may say, and what the operator reads when it is wrong.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::time::Duration;

use xenios_core::Virtualization;

use super::{Config, ConfigError};

const GOOD: &str = r#"
host = "bed"
state_dir = "/var/lib/xenios"
[listen]
tcp = "0.0.0.0:7443"
unix = "/run/xenios/xeniosd.sock"
[tls]
certificate = "/etc/xenios/server.pem"
key = "/etc/xenios/server.key"
client_ca = "/etc/xenios/ca.pem"
[[unix_tenants]]
uid = 0
tenant = "operator"
[boot]
kernel = "/usr/lib/xenios/vmlinuz"
initrd = "/usr/lib/xenios/initrd"
virtualization = "pv"
[[registries]]
authority = "10.0.2.2:5000"
plain_http = true
allow_private = true
[policy]
deadline_ms = 2000
[[policy.bindings]]
name = "second"
file = "/p/second.wasm"
priority = 20
[[policy.bindings]]
name = "size-limits"
file = "/p/size-limits.wasm"
settings = { max_vcpus = 4, kernels = ["a", "b"] }
priority = 10
may_change = ["env"]
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/x.toml"))
}

fn problems(text: &str) -> Vec<String> {
    match parse(text).unwrap_err() {
        ConfigError::Invalid { problems, .. } => {
            problems.0.into_iter().map(|(key, _)| key).collect()
        }
        other => panic!("not a list of problems: {other:?}"),
    }
}

#[test]
fn a_full_configuration_is_read() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.host, "bed");
    assert_eq!(config.tcp.unwrap().address.port(), 7443);
    assert_eq!(config.unix.unwrap().tenants[&0].to_string(), "operator");
    assert_eq!(config.boot.virtualization, Virtualization::Pv);
    assert_eq!(config.boot.cmdline, "console=hvc0 quiet");
    assert_eq!(config.policy.deadline, Duration::from_secs(2));
    assert_eq!(
        config.policy.artifacts,
        Path::new("/var/lib/xenios/artifacts")
    );
    let names: Vec<_> = config.policy.bindings.iter().map(|b| &*b.name).collect();
    assert_eq!(names, ["size-limits", "second"], "sorted by priority");
    assert_eq!(
        config.policy.bindings[0].settings,
        r#"{"kernels":["a","b"],"max_vcpus":4}"#
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = parse(&GOOD.replace("plain_http", "plain_htp")).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("plain_htp") && source.contains("line"),
        "{source}"
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let bad = GOOD
        .replace("0.0.0.0:7443", "everywhere")
        .replace("\"/var/lib/xenios\"", "\"var\"")
        .replace("\"operator\"", "\"No Such\"")
        .replace("\"pv\"", "\"hvm\"")
        .replace("2000", "0")
        .replace("\"second\"", "\"size-limits\"");
    let found = problems(&bad);
    for key in [
        "state_dir",
        "listen.tcp",
        "unix_tenants[0].tenant",
        "boot.virtualization",
        "policy.deadline_ms",
        "policy.bindings `size-limits`",
    ] {
        assert!(found.iter().any(|f| f == key), "{key} not in {found:?}");
    }
}

#[test]
fn what_no_policy_can_change_is_refused_in_a_binding() {
    for field in ["name", "memory", "env ", "labels[x", ""] {
        let bad = GOOD.replace("[\"env\"]", &format!("[\"env\", {field:?}]"));
        let key = "policy.bindings `size-limits`.may_change";
        let expected: &[&str] = match field {
            "labels[x" => &[],
            _ => &[key],
        };
        assert_eq!(
            parse(&bad).map_or_else(|_| problems(&bad), |_| Vec::new()),
            expected,
            "{field}"
        );
    }
    for field in ["memory_mib", "env[LOG_LEVEL]", "virtualization"] {
        parse(&GOOD.replace("[\"env\"]", &format!("[{field:?}]"))).unwrap();
    }
}

#[test]
fn tcp_without_tls_is_refused() {
    let start = GOOD.find("[tls]").unwrap();
    let end = GOOD.find("[[unix_tenants]]").unwrap();
    let bad = format!("{}{}", &GOOD[..start], &GOOD[end..]);
    assert_eq!(problems(&bad), ["tls"]);
}

#[test]
fn a_socket_that_nobody_may_use_is_refused() {
    let start = GOOD.find("[[unix_tenants]]").unwrap();
    let end = GOOD.find("[boot]").unwrap();
    let bad = format!("{}{}", &GOOD[..start], &GOOD[end..]);
    assert_eq!(problems(&bad), ["unix_tenants"]);
}
