//! The framing, against an agent that is a thread, and the real agent's shell.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::{Channel, parse};

/// Serves one client: garbage first, as an earlier client would have left, then
/// `answer` for what was asked.
fn agent(folder: &crate::scratch::Folder, answer: fn(&str, UnixStream)) -> PathBuf {
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"half an answer\xff\ndone 1-1 0 3 0\nab")
            .unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 0 {
            if line.starts_with("sync ") {
                stream.write_all(line.as_bytes()).unwrap();
            } else if let Some(request) = line.strip_prefix("run ") {
                let words: Vec<&str> = request.trim_end().split(' ').collect();
                let mut script = vec![0; words[2].parse().unwrap()];
                reader.read_exact(&mut script).unwrap();
                answer(words[0], stream.try_clone().unwrap());
            }
            line.clear();
        }
    });
    path
}

fn connect(path: &std::path::Path) -> Channel {
    Channel::connect(path, Duration::from_mins(1), || Ok(())).unwrap()
}

#[test]
fn leftovers_are_skipped_and_binary_output_is_kept() {
    let folder = crate::scratch::Folder::new("channel");
    let path = agent(&folder, |token, mut stream| {
        stream
            .write_all(format!("done {token} 3 4 2\n\0\n\u{ff}Xer").as_bytes())
            .unwrap();
    });
    // U+00FF is two bytes of UTF-8: 0, newline, c3, bf are the output.
    let output = connect(&path).run("x", Duration::from_secs(5)).unwrap();
    assert_eq!(
        (output.code, output.stdout.as_slice()),
        (3, &[0, b'\n', 0xc3, 0xbf][..])
    );
    assert_eq!(output.stderr, b"Xe");
}

#[test]
fn a_timeout_is_an_error_with_what_was_printed() {
    let folder = crate::scratch::Folder::new("channel");
    let path = agent(&folder, |token, mut stream| {
        stream
            .write_all(format!("done {token} timeout 4 0\nslow").as_bytes())
            .unwrap();
    });
    let error = connect(&path)
        .run("x", Duration::from_secs(5))
        .unwrap_err()
        .to_string();
    assert!(error.contains("5 s") && error.contains("slow"), "{error}");
}

#[test]
fn the_end_of_the_machine_is_an_error() {
    let folder = crate::scratch::Folder::new("channel");
    let path = agent(&folder, |_, stream| {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let error = connect(&path)
        .run("x", Duration::from_secs(5))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the machine has ended"), "{error}");
}

#[test]
fn answers_of_another_shape_are_refused() {
    for line in [
        "",
        "done",
        "done t 0 1",
        "done other 0 1 1",
        "done t 256 1 1",
        "done t 0 -1 1",
        "done t 0 1 999999999999",
    ] {
        assert!(parse(line, "t").is_none(), "{line}");
    }
    assert!(parse("done t 255 1 2", "t").is_some());
}

#[test]
fn paths_that_the_agent_could_not_read_are_refused() {
    let folder = crate::scratch::Folder::new("channel");
    let path = agent(&folder, |_, _| {});
    let mut channel = connect(&path);
    for path in ["relative", "/with space", "/with\nline"] {
        assert!(channel.put(path, 0o644, b"").is_err(), "{path:?}");
    }
}
