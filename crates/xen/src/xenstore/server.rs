//! A xenstored of one process, for tests: the protocol over a socket, a tree in
//! a map, transactions that commit if nobody else wrote in the meantime.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::wire::{self, HEADER_BYTES};

/// A node: value, permissions as in `XS_SET_PERMS`.
type Tree = BTreeMap<String, (Vec<u8>, String)>;

#[derive(Default)]
pub(crate) struct State {
    tree: Tree,
    generation: u64,
    transactions: HashMap<u32, (u64, Tree)>,
    /// Domain, frame and port of each introduction.
    pub(crate) introduced: Vec<String>,
    /// Commits that are answered with `EAGAIN`, whatever happened.
    pub(crate) conflicts: u32,
    /// Requests until one is refused with `EIO`.
    pub(crate) fail_after: Option<u32>,
    /// Requests until the connection is closed instead of answered.
    pub(crate) hang_up_after: Option<u32>,
    requests: u32,
}

impl State {
    pub(crate) fn value(&self, path: &str) -> Option<String> {
        let (value, _) = self.tree.get(path)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn set(&mut self, path: &str, value: &[u8]) {
        self.tree
            .insert(path.to_owned(), (value.to_vec(), String::new()));
        self.generation += 1;
    }

    /// All nodes, one a line: path, value, permissions.
    pub(crate) fn dump(&self) -> String {
        let line = |(path, (value, permissions)): (&String, &(Vec<u8>, String))| {
            format!(
                "{path} = {:?} ({permissions})\n",
                String::from_utf8_lossy(value)
            )
        };
        self.tree.iter().map(line).collect()
    }

    /// How many requests were answered.
    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }
}

/// The daemon; it lives as long as the process.
pub(crate) struct Server {
    pub(crate) socket: PathBuf,
    state: Arc<Mutex<State>>,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            socket,
            state,
            _directory: directory,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn shared(&self) -> Arc<Mutex<State>> {
        Arc::clone(&self.state)
    }
}

/// Counts down to a fault; true when it is due.
fn due(counter: &mut Option<u32>) -> bool {
    match counter {
        Some(0) => {
            *counter = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

fn serve(mut stream: UnixStream, state: &Mutex<State>) {
    loop {
        let mut header = [0; HEADER_BYTES];
        if stream.read_exact(&mut header).is_err() {
            return;
        }
        let word = |index: usize| u32::from_le_bytes(header[index * 4..][..4].try_into().unwrap());
        let mut payload = vec![0; word(3) as usize];
        stream.read_exact(&mut payload).unwrap();
        let (kind, answer) = {
            let mut state = state.lock().unwrap();
            state.requests += 1;
            if due(&mut state.hang_up_after) {
                return;
            }
            if due(&mut state.fail_after) {
                (16, b"EIO\0".to_vec())
            } else {
                match handle(&mut state, word(0), word(2), &payload) {
                    Ok(answer) => (word(0), answer),
                    Err(code) => (16, [code.as_bytes(), b"\0"].concat()),
                }
            }
        };
        let message = wire::encode(kind, word(1), word(2), &answer);
        if stream.write_all(&message).is_err() {
            return;
        }
        if kind == 4 {
            // A watch fires once when it is set.
            let message = wire::encode(15, 0, 0, &payload);
            stream.write_all(&message).unwrap();
        }
    }
}

fn handle(
    state: &mut State,
    kind: u32,
    transaction: u32,
    payload: &[u8],
) -> Result<Vec<u8>, &'static str> {
    let ok = || b"OK\0".to_vec();
    let end = payload.iter().position(|byte| *byte == 0).unwrap();
    let (path, rest) = (
        std::str::from_utf8(&payload[..end]).unwrap(),
        &payload[end + 1..],
    );
    match kind {
        6 => {
            let id = state.requests;
            let copy = (state.generation, state.tree.clone());
            state.transactions.insert(id, copy);
            return Ok(format!("{id}\0").into_bytes());
        }
        7 => {
            let (generation, tree) = state.transactions.remove(&transaction).ok_or("ENOENT")?;
            if path == "T" {
                if state.conflicts > 0 || generation != state.generation {
                    state.conflicts = state.conflicts.saturating_sub(1);
                    return Err("EAGAIN");
                }
                state.tree = tree;
                state.generation += 1;
            }
            return Ok(ok());
        }
        8 => {
            let fields = String::from_utf8_lossy(payload).replace('\0', " ");
            state.introduced.push(fields.trim_end().to_owned());
            return Ok(ok());
        }
        4 => return Ok(ok()),
        _ => {}
    }
    let tree = match transaction {
        0 => &mut state.tree,
        id => &mut state.transactions.get_mut(&id).ok_or("ENOENT")?.1,
    };
    let answer = on_tree(tree, kind, path, rest)?;
    if answer.len() > wire::PAYLOAD_MAX {
        Err("E2BIG")
    } else {
        Ok(answer)
    }
}

fn on_tree(tree: &mut Tree, kind: u32, path: &str, rest: &[u8]) -> Result<Vec<u8>, &'static str> {
    let ok = || b"OK\0".to_vec();
    match kind {
        2 => tree
            .get(path)
            .map(|(value, _)| value.clone())
            .ok_or("ENOENT"),
        11 => {
            write(tree, path, rest);
            Ok(ok())
        }
        13 => {
            tree.get(path).ok_or("ENOENT")?;
            tree.retain(|other, _| other != path && !other.starts_with(&format!("{path}/")));
            Ok(ok())
        }
        14 => {
            let texts = String::from_utf8_lossy(rest).replace('\0', " ");
            texts
                .trim_end()
                .clone_into(&mut tree.get_mut(path).ok_or("ENOENT")?.1);
            Ok(ok())
        }
        1 => list(tree, path).map(|names| names.concat()),
        22 => {
            let all = list(tree, path)?.concat();
            let offset: usize = std::str::from_utf8(&rest[..rest.len() - 1])
                .unwrap()
                .parse()
                .unwrap();
            let part: Vec<u8> = all.iter().copied().skip(offset).take(1000).collect();
            let last: &[u8] = if offset + part.len() == all.len() {
                b"\0"
            } else {
                b""
            };
            Ok([b"7\0", part.as_slice(), last].concat())
        }
        _ => Err("EINVAL"),
    }
}

fn list(tree: &Tree, path: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    let below = format!("{path}/");
    let names: Vec<_> = tree
        .keys()
        .filter_map(|other| other.strip_prefix(&below))
        .filter(|name| !name.contains('/'))
        .map(|name| format!("{name}\0").into_bytes())
        .collect();
    if names.is_empty() {
        tree.get(path).map(|_| names).ok_or("ENOENT")
    } else {
        Ok(names)
    }
}

/// Makes the nodes above; new ones have the permissions of the nearest one.
fn write(tree: &mut Tree, path: &str, value: &[u8]) {
    if let Some(node) = tree.get_mut(path) {
        node.0 = value.to_vec();
        return;
    }
    let mut permissions = "n0".to_owned();
    for (index, _) in path.match_indices('/').skip(1) {
        let above = tree
            .entry(path[..index].to_owned())
            .or_insert((Vec::new(), permissions.clone()));
        permissions.clone_from(&above.1);
    }
    tree.insert(path.to_owned(), (value.to_vec(), permissions));
}
