//! Answers as servers write them.

use super::parse;

#[test]
fn an_answer_has_status_headers_and_body() {
    let response =
        parse(b"HTTP/1.1 202 Accepted\r\nLOCATION: http://h/x?a=b:c\r\n\r\nbody\r\n\r\n").unwrap();
    assert_eq!(response.status, 202);
    assert_eq!(response.header("Location"), Some("http://h/x?a=b:c"));
    assert_eq!(response.header("Absent"), None);
    assert_eq!(response.body, b"body\r\n\r\n");
}

#[test]
fn what_is_no_answer_is_an_error() {
    for bytes in [
        &b""[..],
        b"HTTP/1.0 200 OK\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.0 abc\r\n\r\n",
    ] {
        assert!(parse(bytes).is_err(), "{bytes:?}");
    }
}
