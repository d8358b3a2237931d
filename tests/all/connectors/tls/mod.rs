//! TLS with real sockets: clients of others, certificates that change, are invalid or missing, and
//! clients that use the wrong protocol for a port.

mod authority;
mod certificates;
mod clients;
mod limits;
mod protocol_mismatch;
mod revoked;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use wireplug::config::TlsConfig;
use wireplug::{App, Listener, RunningServer};

use super::{LineClient, address, lines, serve};

pub(crate) use self::authority::{AUTHORITY, Authority};

/// Starts a server at a URL, with a certificate for `localhost` and 127.0.0.1.
async fn encrypted(app: App, url: &str, tls: TlsConfig) -> RunningServer {
    wireplug_tests::log::init();
    let mut listener = Listener::new(url, lines());
    listener.tls = Some(tls);
    serve(app, listener).await
}

/// Connects a client that trusts the tests' authority to the server's only listener.
async fn connect(server: &RunningServer) -> LineClient<TlsStream<TcpStream>> {
    let client = AUTHORITY.client(None).connect(&address(server)).await;
    LineClient::over(client.expect("a handshake"))
}
