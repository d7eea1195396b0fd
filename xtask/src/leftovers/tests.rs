//! Output as the programs print it.

use super::parse;

const QUIET: &str = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  1024     2     r-----       5.5
----
----
/tool = \"\"
/tool/xenstored = \"\"
/local = \"\"
/local/domain = \"\"
/local/domain/0 = \"\"
/local/domain/0/domid = \"0\"
/local/domain/0/backend = \"\"
/local/domain/0/backend/vbd = \"\"
/vm = \"\"
/libxl = \"\"
/libxl/0 = \"\"
/libxl/0/type = \"pv\"
";

#[test]
fn dom0_alone_is_nothing() {
    let found = parse(QUIET);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn each_kind_of_leftover_is_seen() {
    let domain = QUIET.replacen("----", "web   3   128     1     -b----       1.0\n----", 1);
    assert_eq!(parse(&domain).domains.len(), 1);
    let device = QUIET.replacen("----\n----", "----\n/dev/loop0: []: (/var/lib/x)\n----", 1);
    assert_eq!(parse(&device).loops.len(), 1);
    for node in [
        "/local/domain/3 = \"\"",
        "/local/domain/3/name = \"web\"",
        "/local/domain/0/backend/vbd/3 = \"\"",
        "/local/domain/0/backend/vbd/3/51712/params = \"x\"",
        "/vm/6f2d0f7e-0f2c-4f0e-9f52-5f2ad2f0a001 = \"\"",
        "/libxl/3 = \"\"",
    ] {
        assert_eq!(parse(&format!("{QUIET}{node}\n")).nodes, [node]);
    }
}
