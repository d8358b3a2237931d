//! A client over UDP: the opening that `docs/udp.md` specifies, and a request in Pomelo's protocol
//! behind it.
//!
//! ```text
//! wireplug serve --codec runtime/wireplug/codecs/pomelo.wasm --listen udp://127.0.0.1:3010
//! cargo run --release --example udp_client -- 127.0.0.1:3010 connector.entryHandler.echo '{"hello":1}'
//! ```

use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use wireplug_pomelo::client::{Client, Incoming};

/// How each datagram of an opening begins; the byte behind it says which one it is.
const MAGIC: &[u8] = b"\xffWPUDP1";
const CHALLENGE: u8 = 1;
const ANSWER: u8 = 2;
const OPEN: u8 = 3;

/// After so long what was said is taken to be lost, and said again.
const AGAIN: Duration = Duration::from_millis(200);

/// After so long the server is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a session. Whatever comes on the socket afterwards is the codec's, but for a challenge:
/// that says that the server knows of no session any more.
///
/// # Errors
/// Where the server does not let the client in for some seconds: it may be full, or the address
/// refused.
pub fn open(server: impl ToSocketAddrs) -> io::Result<UdpSocket> {
    let server = server.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(AGAIN))?;
    // Anything will do to be challenged, if it is not shorter than the challenge.
    let mut say = vec![0; 24];
    let mut datagram = [0; 64];
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        socket.send(&say)?;
        let length = match socket.recv(&mut datagram) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        match datagram[..length].strip_prefix(MAGIC) {
            Some([CHALLENGE, cookie @ ..]) => say = [MAGIC, &[ANSWER], cookie].concat(),
            Some([OPEN]) => return Ok(socket),
            _ => {}
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Asks a Pomelo server, and returns the body of its response. What is lost is asked again only
/// until the handshake is over: a request might have been carried out, and only its response be
/// lost.
///
/// # Errors
/// Where the server does not answer, or refuses the client.
pub fn request(server: impl ToSocketAddrs, route: &str, body: &str) -> anyhow::Result<Vec<u8>> {
    let socket = open(server).context("no session")?;
    let mut client = Client::new();
    let (mut say, mut heard, mut asked) = (Vec::new(), Vec::new(), false);
    client.connect(None, &mut say);
    let mut datagram = vec![0; 65_536];
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if !say.is_empty() {
            socket.send(&say)?;
        }
        if asked {
            say.clear();
        }
        let length = match socket.recv(&mut datagram) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match datagram[..length].strip_prefix(MAGIC) {
            // The answer to the opening came twice.
            Some([OPEN]) => continue,
            Some(_) => bail!("the server has given the session up"),
            None => say.clear(),
        }
        client.receive(&datagram[..length], &mut say, &mut heard)?;
        for incoming in heard.drain(..) {
            match incoming {
                // Behind the acknowledgement of the handshake, and in one datagram with it.
                Incoming::Ready { .. } if !asked => {
                    asked = true;
                    client.request(route, body.as_bytes(), &mut say)?;
                }
                Incoming::Response { body, .. } => return Ok(body),
                Incoming::Refused { .. } | Incoming::Kick { .. } => bail!("{incoming:?}"),
                _ => {}
            }
        }
    }
    bail!("no answer within {} s", PATIENCE.as_secs())
}

fn main() -> anyhow::Result<()> {
    let [server, route, body] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .context("usage: udp_client HOST:PORT ROUTE BODY")?;
    println!("{}", String::from_utf8_lossy(&request(server, &route, &body)?));
    Ok(())
}
