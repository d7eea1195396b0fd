//! Where results and remarks go: results to stdout, everything else to stderr.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::clean;
use crate::cli::Format;
use crate::failure::Failure;

/// The two streams and how results look.
pub(crate) struct Output<'a> {
    pub(crate) out: &'a mut (dyn Write + Send),
    pub(crate) err: &'a mut (dyn Write + Send),
    pub(crate) format: Format,
}

impl Output<'_> {
    /// Prints a result as text that was cleaned already.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out
            .write_all(bytes)
            .and_then(|()| self.out.flush())
            .map_err(|error| cannot_print(&error))
    }

    /// Prints one JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value).expect("views always have a JSON form");
        let mut line = clean::json(&line);
        line.push('\n');
        self.text(&line)
    }

    /// Says something beside the result, in one line. Losing it harms nobody.
    pub(crate) fn remark(&mut self, line: &str) {
        let _ = writeln!(self.err, "xenios: {}", clean::line(line));
    }

    /// Reports the failure of the whole command.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        let text = match self.format {
            Format::Table => failure.to_string(),
            Format::Json => clean::json(&failure.to_json()),
        };
        let _ = writeln!(self.err, "{text}");
    }
}

fn cannot_print(error: &io::Error) -> Failure {
    let next = if error.kind() == ErrorKind::BrokenPipe {
        "the reader of the output went away"
    } else {
        "check where the output goes"
    };
    Failure::other(format!("cannot print the result: {error}"), next)
}
