//! Codecs in object stores of JetStream, as sources of a slot: fetches the component, and watches
//! for the next version.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig, OrderedErrorKind};
use async_nats::jetstream::{self, Context};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::Nats;
use super::link::Link;
use super::rollouts::in_time;
use super::store::{self, Described};
use crate::codec::{Digest, Reason};
use crate::slot::{Fetched, ObjectReference, ObjectStores, Remote};
use wireplug_base::BoxError;

/// How long a fetch waits for the connection. It is one try to connect to a server.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a fetch may take in all: as long as one from a registry, unless that is set.
const FETCH: Duration = Duration::from_secs(30);

/// How long it may take until a watch has begun. It has two requests, of which each takes at most
/// 5 s in the library.
const BEGIN: Duration = Duration::from_secs(11);

/// How long after a failure the next try is made, unless the connection changes or another version
/// is put before.
const AGAIN: Duration = Duration::from_secs(10);

/// A component in an object store.
struct StoredObject {
    link: Link,
    reference: ObjectReference,
    watch: Mutex<Watch>,
    /// Whether the last fetch failed, so that the same version may be fetched again.
    has_failed: AtomicBool,
}

/// The watch for versions.
#[derive(Default)]
enum Watch {
    #[default]
    New,
    /// It could not begin, or has ended.
    Failed,
    Open {
        /// The number of the connection over which it began.
        connection: u64,
        /// The descriptions of the object: the one that is there, and the next ones.
        descriptions: Box<Ordered>,
    },
}

impl ObjectStores for Nats {
    fn object(&self, reference: &ObjectReference) -> Arc<dyn Remote> {
        Arc::new(StoredObject {
            link: self.0.link.clone(),
            reference: reference.clone(),
            watch: Mutex::default(),
            has_failed: AtomicBool::new(false),
        })
    }
}

impl Remote for StoredObject {
    fn reference(&self) -> String {
        self.reference.to_string()
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, BoxError>> {
        async {
            let fetched = in_time(FETCH, self.read()).await;
            self.has_failed.store(fetched.is_err(), Ordering::Relaxed);
            fetched.map_err(|error| said(&error))
        }
        .boxed()
    }

    fn next_version(self: Arc<Self>) -> BoxFuture<'static, Result<String, BoxError>> {
        async move { self.next().await.map_err(|error| said(&error)) }.boxed()
    }
}

impl StoredObject {
    async fn read(&self) -> anyhow::Result<Fetched> {
        if timeout(CONNECT, self.link.up()).await.is_err() {
            return Err(self.away());
        }
        let (component, digest) = store::read(&self.context(), &self.reference).await?;
        Ok(Fetched { component, version: version(digest), origin: self.reference() })
    }

    /// Returns the version that is there, and then each next one.
    async fn next(&self) -> anyhow::Result<String> {
        let mut watch = self.watch.lock().await;
        loop {
            match &mut *watch {
                Watch::New => {
                    *watch = Watch::Failed;
                    let Some(connection) = self.link.connection() else { return Err(self.away()) };
                    let (descriptions, is_there) = tokio::select! {
                        begun = in_time(BEGIN, self.begin()) => begun?,
                        () = self.link.lost(connection) => {
                            *watch = Watch::New;
                            continue;
                        }
                    };
                    *watch = Watch::Open { connection, descriptions: Box::new(descriptions) };
                    if !is_there {
                        return Err(store::gone());
                    }
                }
                Watch::Failed => {
                    if let Some(connection) = self.link.connection() {
                        let _ = timeout(AGAIN, self.link.lost(connection)).await;
                    }
                    self.link.up().await;
                    *watch = Watch::New;
                }
                Watch::Open { connection, descriptions } => {
                    let again = async {
                        match self.has_failed.load(Ordering::Relaxed) {
                            true => sleep(AGAIN).await,
                            false => pending().await,
                        }
                    };
                    let description = tokio::select! {
                        description = descriptions.next() => description,
                        () = self.link.lost(*connection) => {
                            *watch = Watch::New;
                            continue;
                        }
                        () = again => {
                            self.has_failed.store(false, Ordering::Relaxed);
                            *watch = Watch::New;
                            continue;
                        }
                    };
                    match description {
                        Some(Ok(description)) => {
                            self.has_failed.store(false, Ordering::Relaxed);
                            let info = serde_json::from_slice(&description.payload)
                                .context("the description of the object is not that of an object")?;
                            return Ok(version(Described::by(&info)?.digest()));
                        }
                        // The server has forgotten the watch. If another one cannot begin, that is
                        // reported.
                        Some(Err(error)) if error.kind() == OrderedErrorKind::MissingHeartbeat => {
                            *watch = Watch::New;
                        }
                        Some(Err(error)) => {
                            *watch = Watch::Failed;
                            return Err(error.into());
                        }
                        None => {
                            *watch = Watch::Failed;
                            bail!("the watch of the object has ended");
                        }
                    }
                }
            }
        }
    }

    /// Begins to watch. Also returns whether there is a description, which then comes first.
    async fn begin(&self) -> anyhow::Result<(Ordered, bool)> {
        let (context, bucket) = (self.context(), &self.reference.bucket);
        let stream = context
            .get_stream(format!("OBJ_{bucket}"))
            .await
            .map_err(|error| store::no_bucket(bucket, &error).unwrap_or_else(|| error.into()))?;
        let consumer = stream
            .create_consumer(OrderedConfig {
                deliver_subject: context.client().new_inbox(),
                deliver_policy: DeliverPolicy::LastPerSubject,
                description: Some("a codec of wireplug".to_owned()),
                filter_subject: store::description_subject(&self.reference),
                ..OrderedConfig::default()
            })
            .await?;
        let is_there = consumer.cached_info().num_pending > 0;
        Ok((consumer.messages().await?, is_there))
    }

    fn context(&self) -> Context {
        jetstream::new(self.link.client().1)
    }

    fn away(&self) -> anyhow::Error {
        anyhow!("NATS is not reached: {}", self.link.problem().as_deref().unwrap_or("there is no connection"))
    }
}

/// Returns the version of the object with this digest. The same component, put again, is the same
/// version.
fn version(digest: Digest) -> String {
    format!("sha256:{digest}")
}

/// Returns an error as a text, as short and harmless as each text from outside.
fn said(error: &anyhow::Error) -> BoxError {
    Reason::new(format!("{error:#}")).to_string().into()
}
