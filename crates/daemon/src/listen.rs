//! Sockets: TCP with mutual TLS, and a Unix socket with peer credentials.
//!
//! Connections are counted and bounded here. Who a connection belongs to is decided
//! in `identity`.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::config::TcpListen;

#[cfg(test)]
mod tests;

/// Connections that one listener keeps open; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 1024;
/// A client that has not finished its TLS handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Owner and group may connect: the operator chooses the group by the directory's.
const SOCKET_MODE: u32 = 0o660;
/// Of the socket's directory, when it has to be made.
const DIRECTORY_MODE: u32 = 0o755;

/// A listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A file of the TLS identity.
    #[error("cannot read {path}, which the [tls] section names", path = path.display())]
    TlsFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TCP address.
    #[error("cannot listen on {address}; is another xeniosd running?")]
    Tcp {
        /// Which address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The Unix socket.
    #[error("cannot listen on {path}", path = path.display())]
    Unix {
        /// Which socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else is at the socket's path, or another daemon answers there.
    #[error("{path} is in use: {what}; remove it or change listen.unix", path = path.display())]
    UnixInUse {
        /// Which socket.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
}

/// Reads the PEM files of a listener. A client certificate is required.
pub fn tls_config(listen: &TcpListen) -> Result<ServerTlsConfig, ListenError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| ListenError::TlsFile {
            path: path.clone(),
            source,
        })
    };
    let identity = Identity::from_pem(read(&listen.certificate)?, read(&listen.key)?);
    Ok(ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(Certificate::from_pem(read(&listen.client_ca)?))
        .timeout(HANDSHAKE_TIMEOUT))
}

/// Binds the TCP listener.
pub async fn bind_tcp(address: std::net::SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError::Tcp { address, source })
}

/// Binds the Unix socket, in place of a stale one.
pub async fn bind_unix(path: &Path) -> Result<UnixListener, ListenError> {
    remove_stale(path).await?;
    let failed = |source| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent()
        && !parent.exists()
    {
        std::fs::create_dir_all(parent).map_err(failed)?;
        // Who may connect is said by the socket's mode, and not by the daemon's umask.
        let mode = std::fs::Permissions::from_mode(DIRECTORY_MODE);
        std::fs::set_permissions(parent, mode).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}

async fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let in_use = |what| ListenError::UnixInUse {
        path: path.to_owned(),
        what,
    };
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(in_use("not a socket")),
        Ok(_) => {}
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(in_use("another daemon answers there"));
    }
    std::fs::remove_file(path).map_err(|source| ListenError::Unix {
        path: path.to_owned(),
        source,
    })
}

/// Accepted connections, as tonic takes them.
pub type Incoming<S> = ReceiverStream<io::Result<Counted<S>>>;

/// What can be accepted from.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: Send + 'static;
    /// Waits for the next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Accepts connections until the returned stream is dropped.
///
/// An accept that fails is logged and tried again: tonic would end the server.
#[must_use]
pub fn incoming<L: Listener>(listener: L) -> Incoming<L::Stream> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&slots).acquire_owned() => permit,
                () = sender.closed() => return,
            };
            let Ok(permit) = permit else { return };
            let accepted = tokio::select! {
                accepted = listener.next() => accepted,
                () = sender.closed() => return,
            };
            match accepted {
                Ok(inner) => {
                    let counted = Counted {
                        inner,
                        _permit: permit,
                    };
                    if sender.send(Ok(counted)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// A connection that holds one of the listener's slots.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    _permit: OwnedSemaphorePermit,
}

impl<S: Connected> Connected for Counted<S> {
    type ConnectInfo = S::ConnectInfo;
    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
