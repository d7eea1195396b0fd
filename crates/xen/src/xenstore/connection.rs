//! One connection to xenstored: requests out, answers and watch events in.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::wire::{self, Kind, Message, PAYLOAD_MAX};
use super::{Edit, Permissions, StoreError, StorePath};

/// How many requests of a transaction are sent before their answers are read.
/// Few enough that neither side's socket buffer fills up.
const IN_FLIGHT: usize = 16;
/// `XS_DIRECTORY_PART` answers with a part at a time: a directory that needs
/// more parts than this is not one of ours.
const MAX_PARTS: usize = 256;

/// A request, before it has a number.
pub(super) struct Request {
    kind: Kind,
    payload: Vec<u8>,
    /// For errors.
    subject: String,
}

impl Request {
    fn new(kind: Kind, subject: &str, rest: &[u8]) -> Self {
        let mut payload = subject.as_bytes().to_vec();
        payload.push(0);
        payload.extend_from_slice(rest);
        Self {
            kind,
            payload,
            subject: subject.to_owned(),
        }
    }

    /// A request that has a path and nothing else.
    pub(super) fn about(kind: Kind, path: &StorePath) -> Self {
        Self::new(kind, path.as_str(), &[])
    }

    /// A watch, whose token is the path itself.
    pub(super) fn watch(path: &str) -> Self {
        Self::new(Kind::Watch, path, &strings([path]))
    }

    /// Domain, frame and port.
    pub(super) fn introduce(fields: &[String; 3]) -> Self {
        Self::new(Kind::Introduce, &fields[0], &strings(&fields[1..]))
    }

    fn edit(edit: &Edit) -> Self {
        match edit {
            Edit::Write(path, value) => Self::new(Kind::Write, path.as_str(), value),
            Edit::Remove(path) => Self::about(Kind::Remove, path),
            Edit::Grant(path, permissions) => {
                let texts = permission_texts(*permissions);
                Self::new(Kind::SetPermissions, path.as_str(), &strings(&texts))
            }
        }
    }
}

fn permission_texts(permissions: Permissions) -> Vec<String> {
    // `n`: nobody else may do anything, unless named behind.
    let mut texts = vec![format!("n{}", permissions.owner)];
    texts.extend(permissions.reader.map(|reader| format!("r{reader}")));
    texts
}

/// Strings with a NUL behind each.
fn strings<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(text.as_ref().as_bytes());
        bytes.push(0);
    }
    bytes
}

/// The connection.
pub(crate) struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    next_request: u32,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            next_request: 1,
        }
    }

    /// One request, and its answer.
    pub(super) fn call(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Vec<u8>, StoreError> {
        let number = self.send(request, 0, deadline)?;
        self.answer(request, number, deadline)
    }

    /// The names below a node.
    pub(super) fn list(
        &mut self,
        path: &StorePath,
        deadline: Instant,
    ) -> Result<Vec<String>, StoreError> {
        match self.call(&Request::about(Kind::Directory, path), deadline) {
            Ok(bytes) => names(&bytes),
            Err(error) if error.is("E2BIG") => self.list_in_parts(path, deadline),
            Err(error) => Err(error),
        }
    }

    /// A directory whose names do not fit into one message.
    fn list_in_parts(
        &mut self,
        path: &StorePath,
        deadline: Instant,
    ) -> Result<Vec<String>, StoreError> {
        let mut generation = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..MAX_PARTS {
            let offset = strings([bytes.len().to_string()]);
            let request = Request::new(Kind::DirectoryPart, path.as_str(), &offset);
            let answer = self.call(&request, deadline)?;
            let end = answer.iter().position(|byte| *byte == 0);
            let (now, part) = end
                .map(|end| answer.split_at(end + 1))
                .ok_or(StoreError::Protocol("a part without generation"))?;
            if !bytes.is_empty() && now != generation {
                // The directory changed between two parts: begin again.
                bytes.clear();
                generation.clear();
                continue;
            }
            now.clone_into(&mut generation);
            bytes.extend_from_slice(part);
            // The end is an empty name.
            if part.is_empty() || part == [0] || part.ends_with(&[0, 0]) {
                while bytes.ends_with(&[0, 0]) || bytes == [0] {
                    bytes.pop();
                }
                return names(&bytes);
            }
        }
        Err(StoreError::Protocol("a directory has no end"))
    }

    /// All edits in one transaction; a refusal with `EAGAIN` means that another
    /// writer came between, and that all may be tried again.
    pub(super) fn transaction(
        &mut self,
        edits: &[Edit],
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let begin = Request::new(Kind::TransactionStart, "", &[]);
        let number = self.send(&begin, 0, deadline)?;
        let answer = self.answer(&begin, number, deadline)?;
        let id = std::str::from_utf8(&answer)
            .ok()
            .and_then(|text| text.trim_end_matches('\0').parse::<u32>().ok())
            .ok_or(StoreError::Protocol("a transaction has no number"))?;
        let outcome = self.edit(edits, id, deadline);
        if matches!(&outcome, Err(error) if error.breaks_connection()) {
            return outcome;
        }
        let end = Request::new(
            Kind::TransactionEnd,
            if outcome.is_ok() { "T" } else { "F" },
            &[],
        );
        let number = self.send(&end, id, deadline)?;
        let ended = self.answer(&end, number, deadline).map(drop);
        outcome.and(ended)
    }

    fn edit(
        &mut self,
        edits: &[Edit],
        transaction: u32,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        for batch in edits.chunks(IN_FLIGHT) {
            let requests: Vec<_> = batch.iter().map(Request::edit).collect();
            let mut numbers = Vec::with_capacity(requests.len());
            let mut outcome = Ok(());
            for request in &requests {
                match self.send(request, transaction, deadline) {
                    Ok(number) => numbers.push(number),
                    // Those that were sent are still answered.
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            for (request, number) in requests.iter().zip(numbers) {
                match self.answer(request, number, deadline) {
                    Ok(_) => {}
                    Err(error) if request.kind == Kind::Remove && error.is("ENOENT") => {}
                    Err(error) if error.breaks_connection() => return Err(error),
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            outcome?;
        }
        Ok(())
    }

    /// The path of the next watch that fired, or nothing in time.
    pub(crate) fn next_event(&mut self, timeout: Duration) -> Result<Option<String>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let message = match self.receive(deadline) {
                Ok(message) => message,
                Err(StoreError::Timeout) => return Ok(None),
                Err(error) => return Err(error),
            };
            if message.kind == Kind::WatchEvent as u32 {
                let path = message
                    .payload
                    .split(|byte| *byte == 0)
                    .next()
                    .unwrap_or_default();
                return Ok(Some(String::from_utf8_lossy(path).into_owned()));
            }
        }
    }

    fn send(
        &mut self,
        request: &Request,
        transaction: u32,
        deadline: Instant,
    ) -> Result<u32, StoreError> {
        if request.payload.len() > PAYLOAD_MAX {
            return Err(StoreError::TooLarge {
                bytes: request.payload.len(),
                limit: PAYLOAD_MAX,
            });
        }
        let number = self.next_request;
        self.next_request = number.wrapping_add(1);
        let message = wire::encode(request.kind as u32, number, transaction, &request.payload);
        self.stream
            .set_write_timeout(Some(remaining(deadline)?))
            .map_err(StoreError::Broken)?;
        self.stream.write_all(&message).map_err(failure)?;
        Ok(number)
    }

    fn answer(
        &mut self,
        request: &Request,
        number: u32,
        deadline: Instant,
    ) -> Result<Vec<u8>, StoreError> {
        loop {
            let message = self.receive(deadline)?;
            if message.kind == Kind::WatchEvent as u32 {
                // A watch fires once when it is set, maybe before its answer.
                continue;
            }
            if message.request != number {
                return Err(StoreError::Protocol("an answer belongs to no request"));
            }
            if message.kind == Kind::Error as u32 {
                let code = String::from_utf8_lossy(&message.payload);
                return Err(StoreError::Refused {
                    operation: request.kind.verb(),
                    path: request.subject.clone(),
                    code: code.trim_end_matches('\0').to_owned(),
                });
            }
            if message.kind != request.kind as u32 {
                return Err(StoreError::Protocol(
                    "an answer is of another kind than its request",
                ));
            }
            return Ok(message.payload);
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Message, StoreError> {
        loop {
            if let Some(message) = wire::decode(&mut self.received).map_err(StoreError::Protocol)? {
                return Ok(message);
            }
            self.stream
                .set_read_timeout(Some(remaining(deadline)?))
                .map_err(StoreError::Broken)?;
            let mut bytes = [0; PAYLOAD_MAX];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(StoreError::Broken(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(error)),
            }
        }
    }
}

/// A socket's timeout may not be zero.
fn remaining(deadline: Instant) -> Result<Duration, StoreError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(StoreError::Timeout)
    } else {
        Ok(left)
    }
}

fn failure(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => StoreError::Timeout,
        _ => StoreError::Broken(error),
    }
}

/// The strings of a directory.
fn names(bytes: &[u8]) -> Result<Vec<String>, StoreError> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            String::from_utf8(name.to_vec()).map_err(|_| StoreError::Protocol("a name is not text"))
        })
        .collect()
}
