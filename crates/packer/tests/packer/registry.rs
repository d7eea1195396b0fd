//! A registry in this process. It serves what it is told to, right or wrong.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// By lower-case name.
    pub(crate) headers: HashMap<String, String>,
}

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The length that is declared, if not that of the body; `None` declares none.
    pub(crate) declared: Option<usize>,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status: 200,
            headers: Vec::new(),
            declared: Some(body.len()),
            body,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::ok("the registry's own words")
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn redirect(to: impl Into<String>) -> Self {
        Self::status(307).header("Location", to)
    }
}

type Answer = Box<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

#[derive(Default)]
struct State {
    content: Mutex<HashMap<String, Reply>>,
    answers: Mutex<Vec<Answer>>,
    seen: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

/// See the module.
pub(crate) struct FakeRegistry {
    port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl FakeRegistry {
    pub(crate) fn start() -> Self {
        Self::serving(None)
    }

    /// One that speaks TLS, and the authority to trust for it, in PEM.
    pub(crate) fn start_tls() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (Self::serving(Some(Arc::new(tls))), made.cert.pem())
    }

    fn serving(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let served = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                let tls = tls.clone();
                if let Ok(stream) = stream {
                    thread::spawn(move || match tls {
                        None => serve(&served, stream),
                        Some(tls) => {
                            let connection = ServerConnection::new(tls).unwrap();
                            serve(&served, StreamOwned::new(connection, stream));
                        }
                    });
                }
            }
        });
        Self {
            port,
            state,
            thread: Some(thread),
        }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Serves `reply` at a path.
    pub(crate) fn put(&self, path: &str, reply: Reply) {
        self.state
            .content
            .lock()
            .unwrap()
            .insert(path.to_owned(), reply);
    }

    /// Answers first, where it has an answer.
    pub(crate) fn answer(
        &self,
        answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.state.answers.lock().unwrap().push(Box::new(answer));
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How often something below `path` was fetched.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen()
            .iter()
            .filter(|r| r.method == "GET" && r.target.contains(path))
            .count()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(state: &State, mut stream: impl Read + Write) {
    let Some(request) = read(&mut stream) else {
        return;
    };
    state.seen.lock().unwrap().push(request.clone());
    let path = request
        .target
        .split('?')
        .next()
        .unwrap_or_default()
        .to_owned();
    let reply = state
        .answers
        .lock()
        .unwrap()
        .iter()
        .find_map(|answer| answer(&request))
        .or_else(|| state.content.lock().unwrap().get(&path).cloned())
        .unwrap_or_else(|| Reply::status(404));
    // The client may have gone already: that is its right.
    let _ = write(stream, &reply, request.method == "HEAD");
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request {
        method,
        target,
        headers,
    })
}

fn write(mut stream: impl Write, reply: &Reply, head_only: bool) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if let Some(length) = reply.declared {
        let _ = write!(head, "Content-Length: {length}\r\n");
    }
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if !head_only {
        stream.write_all(&reply.body)?;
    }
    stream.flush()
}
