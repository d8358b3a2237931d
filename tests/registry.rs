//! A registry of containers (OCI) that fails on command: enough of one to push, to pull and to list
//! tags.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wireplug::codec::Digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The repository of [`Registry::put`].
const REPOSITORY: &str = "team/chat";

/// The size of the body of [`Mode::Huge`].
const HUGE: usize = 1 << 30;

/// The size of its parts.
const PART: usize = 64 << 10;

/// How a registry answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Works,
    /// It closes each connection.
    Away,
    /// It accepts each connection, and never answers.
    Hangs,
    /// It answers each request with the status 500 and a long text.
    Fails,
    /// The first byte of each blob is another one.
    WrongBlob,
    /// Each manifest ends with a space more.
    WrongManifest,
    /// Each blob has 1 GiB.
    Huge,
}

/// A registry on a free port of this machine, with a thread of its own. It ends when it is dropped.
pub struct Registry {
    address: SocketAddr,
    state: Arc<State>,
    _stop: oneshot::Sender<()>,
}

struct State {
    mode: Mutex<Mode>,
    /// The only user and the password, if there is one. The registry gives out a token for them.
    user: Mutex<Option<(&'static str, &'static str)>>,
    blobs: Mutex<BTreeMap<String, Bytes>>,
    /// The manifests by their tags and digests.
    manifests: Mutex<BTreeMap<String, Bytes>>,
    requests: Mutex<Vec<String>>,
    /// How many bytes of the body of [`Mode::Huge`] were sent.
    sent: AtomicUsize,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Registry {
    /// Starts a registry with nothing in it.
    ///
    /// # Panics
    /// Panics if this machine has no free port or cannot run a thread.
    pub fn start() -> Self {
        let state = Arc::new(State {
            mode: Mutex::new(Mode::Works),
            user: Mutex::default(),
            blobs: Mutex::default(),
            manifests: Mutex::default(),
            requests: Mutex::default(),
            sent: AtomicUsize::new(0),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("it is a socket");
        let (stop, stopped) = oneshot::channel();
        let of = Arc::clone(&state);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("it does not block");
                tokio::select! {
                    () = accept(&listener, &of) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, state, _stop: stop }
    }

    /// Returns `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the reference of a tag.
    pub fn reference(&self, tag: &str) -> String {
        format!("oci://{}/{REPOSITORY}:{tag}", self.address)
    }

    /// Returns the reference of a digest.
    pub fn pinned(&self, digest: &str) -> String {
        format!("oci://{}/{REPOSITORY}@{digest}", self.address)
    }

    /// Sets how it answers from now on.
    pub fn set(&self, mode: Mode) {
        *lock(&self.state.mode) = mode;
    }

    /// Wants this user and password from now on.
    pub fn set_user(&self, user: &'static str, password: &'static str) {
        *lock(&self.state.user) = Some((user, password));
    }

    /// Puts a component under a tag. Returns the digest of its manifest.
    pub fn put(&self, tag: &str, wasm: &[u8]) -> String {
        let blob = |bytes: &[u8]| {
            let digest = sha256(bytes);
            lock(&self.state.blobs).insert(digest.clone(), Bytes::copy_from_slice(bytes));
            digest
        };
        let config = br#"{"architecture":"wasm","os":"wasip2"}"#;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": blob(config),
                "size": config.len(),
            },
            "layers": [{ "mediaType": "application/wasm", "digest": blob(wasm), "size": wasm.len() }],
        });
        self.state.put(tag, manifest.to_string().into())
    }

    /// Returns the tags and digests of all manifests.
    pub fn manifests(&self) -> Vec<String> {
        lock(&self.state.manifests).keys().cloned().collect()
    }

    /// Returns the requests so far, as `METHOD PATH`.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state.requests).clone()
    }

    /// Returns how many bytes of bodies of [`Mode::Huge`] were sent.
    pub fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }
}

/// Accepts connections until the future is dropped, which ends them.
async fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if state.mode() != Mode::Away {
            connections.spawn(serve(stream, Arc::clone(state)));
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            match state.mode() {
                Mode::Hangs => std::future::pending().await,
                Mode::Away => Err(io::Error::other("the registry is away")),
                _ => state.answer(request).await,
            }
        }
    });
    // An error ends the connection, as it should.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl State {
    fn mode(&self) -> Mode {
        *lock(&self.mode)
    }

    fn put(&self, tag: &str, manifest: Bytes) -> String {
        let digest = sha256(&manifest);
        let mut manifests = lock(&self.manifests);
        manifests.insert(digest.clone(), manifest.clone());
        manifests.insert(tag.to_owned(), manifest);
        digest
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let path = head.uri.path().to_owned();
        lock(&self.requests).push(format!("{} {path}", head.method));
        if self.mode() == Mode::Fails {
            return Ok(response(500, "out of order \n".repeat(9999)).body());
        }
        let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        if let Some(refused) = self.authorize(&path, authorization, head.headers.get("host")) {
            return Ok(refused);
        }
        let query = head.uri.query().unwrap_or_default();
        Ok(self.of(&head.method, &path, query, body))
    }

    /// Gives out tokens, and refuses requests without one if there is a user.
    fn authorize(
        &self,
        path: &str,
        authorization: Option<&str>,
        host: Option<&hyper::header::HeaderValue>,
    ) -> Option<Response<Body>> {
        let (user, password) = (*lock(&self.user))?;
        if path == "/token" {
            let is_right = authorization
                .and_then(|value| value.strip_prefix("Basic "))
                .is_some_and(|given| given == STANDARD.encode(format!("{user}:{password}")));
            return Some(match is_right {
                true => response(200, json!({ "token": "granted" }).to_string()).body(),
                false => response(401, "no").body(),
            });
        }
        if authorization == Some("Bearer granted") {
            return None;
        }
        let host = host?.to_str().expect("a host is text");
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry\"");
        Some(response(401, "no").header("www-authenticate", &challenge).body())
    }

    fn of(self: &Arc<Self>, method: &Method, path: &str, query: &str, body: Bytes) -> Response<Body> {
        let missing =
            || response(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#).body();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), &parts[..]) {
            ("GET", ["v2", ""] | ["v2"]) => response(200, "{}").body(),
            ("GET", [.., "tags", "list"]) => {
                let manifests = lock(&self.manifests);
                let tags: Vec<_> = manifests.keys().filter(|tag| !tag.contains(':')).collect();
                response(200, json!({ "name": REPOSITORY, "tags": tags }).to_string()).body()
            }
            ("GET" | "HEAD", [.., "manifests", tag]) => {
                let Some(manifest) = lock(&self.manifests).get(*tag).cloned() else { return missing() };
                let mut sent = manifest.to_vec();
                if self.mode() == Mode::WrongManifest {
                    sent.push(b' ');
                }
                response(200, sent)
                    .header("content-type", MANIFEST)
                    .header("docker-content-digest", &sha256(&manifest))
                    .body()
            }
            ("PUT", [.., "manifests", tag]) => {
                let digest = self.put(tag, body);
                response(201, "").header("location", path).header("docker-content-digest", &digest).body()
            }
            ("POST", [.., "blobs", "uploads", ""]) => {
                response(202, "").header("location", &format!("{path}1")).body()
            }
            ("PUT", [.., "blobs", "uploads", "1"]) => {
                let digest = sha256(&body);
                if !query.replace("%3A", ":").contains(&digest) {
                    return response(400, "that is another digest").body();
                }
                lock(&self.blobs).insert(digest, body);
                response(201, "").header("location", path).body()
            }
            ("GET", [.., "blobs", digest]) => {
                let Some(blob) = lock(&self.blobs).get(*digest).cloned() else { return missing() };
                match self.mode() {
                    Mode::Huge => response(200, "").streaming(self.huge()),
                    Mode::WrongBlob => {
                        let mut wrong = blob.to_vec();
                        wrong[0] ^= 1;
                        response(200, wrong).body()
                    }
                    _ => response(200, blob).body(),
                }
            }
            _ => response(404, "there is nothing here").body(),
        }
    }

    /// Returns a body of 1 GiB. Each part counts when it is taken to be sent.
    fn huge(self: &Arc<Self>) -> Body {
        let (part, state) = (Bytes::from(vec![0; PART]), Arc::clone(self));
        let parts = std::iter::repeat_n(part, HUGE / PART).map(move |part| {
            state.sent.fetch_add(part.len(), Ordering::SeqCst);
            Ok(Frame::data(part))
        });
        BodyExt::boxed_unsync(StreamBody::new(stream::iter(parts)))
    }
}

/// A response that is being made.
struct Made {
    builder: hyper::http::response::Builder,
    content: Bytes,
}

fn response(status: u16, content: impl Into<Bytes>) -> Made {
    let status = StatusCode::from_u16(status).expect("a status");
    Made { builder: Response::builder().status(status), content: content.into() }
}

impl Made {
    fn header(self, name: &str, value: &str) -> Self {
        Self { builder: self.builder.header(name, value), ..self }
    }

    fn body(self) -> Response<Body> {
        self.builder.body(Full::new(self.content).boxed_unsync()).expect("it is a response")
    }

    fn streaming(self, body: Body) -> Response<Body> {
        self.builder.body(body).expect("it is a response")
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
