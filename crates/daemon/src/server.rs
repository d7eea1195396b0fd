//! The gRPC server: one file for each family of RPCs, and who is let in.
//!
//! Every call passes `Identities` first; each looks only at the caller's own guests.
//! No decision about guests is made here.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Router;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use xenios_api::v1;
use xenios_api::v1::guests_server::{Guests, GuestsServer};

use crate::host::Host;
use crate::identity::{Identities, caller};
use crate::listen;
use crate::stop::Stop;

pub(crate) use self::error::CallError;

mod console;
mod create;
mod delete;
mod error;
mod page;
mod read;
mod watching;

/// A unary call ends by then; a client may ask for less.
const CALL_DEADLINE: Duration = Duration::from_mins(1);
/// Calls that one connection may have open.
const MAX_STREAMS: u32 = 200;
/// The largest request: a spec with a full environment is far below.
const MAX_REQUEST: usize = 1 << 20;
/// How long a silent connection lives before it is probed, and then dropped.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Answers the RPCs of `xenios.v1.Guests`.
pub struct GuestCalls {
    host: Arc<Host>,
    stop: Stop,
}

/// A server-side stream of answers.
type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Guests for GuestCalls {
    type WatchGuestsStream = Stream<v1::WatchGuestsResponse>;
    type GetConsoleLogStream = Stream<v1::GetConsoleLogResponse>;

    async fn create_guest(
        &self,
        request: Request<v1::CreateGuestRequest>,
    ) -> Result<Response<v1::CreateGuestResponse>, Status> {
        let caller = caller(&request)?;
        let answer = create::create(&self.host, caller, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn get_guest(
        &self,
        request: Request<v1::GetGuestRequest>,
    ) -> Result<Response<v1::Guest>, Status> {
        let caller = caller(&request)?;
        let answer = read::get(&self.host, caller, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn list_guests(
        &self,
        request: Request<v1::ListGuestsRequest>,
    ) -> Result<Response<v1::ListGuestsResponse>, Status> {
        let caller = caller(&request)?;
        let answer = read::list(&self.host, caller, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn delete_guest(
        &self,
        request: Request<v1::DeleteGuestRequest>,
    ) -> Result<Response<v1::Guest>, Status> {
        let caller = caller(&request)?;
        let answer = delete::delete(&self.host, caller, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn watch_guests(
        &self,
        request: Request<v1::WatchGuestsRequest>,
    ) -> Result<Response<Self::WatchGuestsStream>, Status> {
        let caller = caller(&request)?;
        let stop = self.stop.clone();
        let stream = watching::watch(&self.host, caller, request.into_inner(), stop).await?;
        Ok(Response::new(stream))
    }

    async fn get_console_log(
        &self,
        request: Request<v1::GetConsoleLogRequest>,
    ) -> Result<Response<Self::GetConsoleLogStream>, Status> {
        let caller = caller(&request)?;
        let stop = self.stop.clone();
        let stream = console::log(&self.host, caller, request.into_inner(), stop).await?;
        Ok(Response::new(stream))
    }
}

/// Serves the API on sockets until told to stop.
#[derive(Clone)]
pub struct Api {
    host: Arc<Host>,
    identities: Identities,
    stop: Stop,
}

impl Api {
    /// `stop` is given when no call shall be taken any more.
    #[must_use]
    pub fn new(host: Arc<Host>, identities: Identities, stop: Stop) -> Self {
        Self {
            host,
            identities,
            stop,
        }
    }

    /// Serves TCP with mutual TLS.
    pub async fn serve_tcp(
        self,
        listener: TcpListener,
        tls: ServerTlsConfig,
    ) -> Result<(), tonic::transport::Error> {
        let server = Server::builder().tls_config(tls)?;
        self.router(server)
            .serve_with_incoming_shutdown(listen::incoming(listener), self.stopped())
            .await
    }

    /// Serves the Unix socket.
    pub async fn serve_unix(self, listener: UnixListener) -> Result<(), tonic::transport::Error> {
        self.router(Server::builder())
            .serve_with_incoming_shutdown(listen::incoming(listener), self.stopped())
            .await
    }

    fn router(&self, server: Server) -> Router {
        let service = GuestsServer::new(GuestCalls {
            host: Arc::clone(&self.host),
            stop: self.stop.clone(),
        })
        .max_decoding_message_size(MAX_REQUEST);
        let identities = self.identities.clone();
        let guarded = tonic::service::interceptor::InterceptedService::new(
            service,
            move |request: Request<()>| identities.authenticate(request),
        );
        server
            .timeout(CALL_DEADLINE)
            .max_concurrent_streams(MAX_STREAMS)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(guarded)
    }

    fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.clone();
        async move { stop.given().await }
    }
}
