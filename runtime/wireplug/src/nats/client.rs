//! A client of object stores, for programs that are no nodes.

use std::sync::Arc;

use async_nats::jetstream::{self, Context};
use async_nats::{AuthError, ConnectOptions};
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::credentials::Credentials;
use super::{link, store};
use crate::config::NatsConfig;
use crate::slot::{BadObjectReference, ObjectReference};
use wireplug_base::BoxError;

/// A client of the object stores of a NATS system, with which programs put codecs where servers
/// take them from.
///
/// ```no_run
/// use wireplug::config::NatsConfig;
/// use wireplug::objects::{ObjectClient, ObjectError};
///
/// # async fn push(component: bytes::Bytes) -> Result<(), ObjectError> {
/// let client = ObjectClient::connect(&NatsConfig::at("nats://127.0.0.1:4222")).await?;
/// client.push("nats://codecs/chat.wasm", component).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ObjectClient(Context);

/// Why an object was not put, read or listed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ObjectError(BoxError);

impl ObjectClient {
    /// Connects to the first server of the configuration that accepts the client.
    ///
    /// # Errors
    /// Returns an error if a file cannot be used, or no server accepts the client.
    pub async fn connect(config: &NatsConfig) -> Result<Self, ObjectError> {
        let credentials = Arc::new(Credentials::new(config));
        let options = ConnectOptions::with_auth_callback(move |nonce| {
            let credentials = Arc::clone(&credentials);
            async move {
                let read = spawn_blocking(move || credentials.read(&nonce)).await;
                read.map_err(AuthError::new)?.map_err(|error| AuthError::new(format!("{error:#}")))
            }
        })
        .name("wireplug")
        .connection_timeout(link::HANDSHAKE);
        let connected = link::with_files(options, config).connect(&config.servers).await;
        let servers = config.servers.join(", ");
        let client = connected.map_err(|error| ObjectError(format!("NATS at {servers}: {error}").into()))?;
        Ok(Self(jetstream::new(client)))
    }

    /// Puts a component at a reference, `nats://BUCKET/NAME`, in the place of the one that is
    /// there.
    ///
    /// # Errors
    /// Returns an error if it is no such reference, the component is too large, there is no such
    /// bucket, or NATS refuses.
    pub async fn push(&self, reference: &str, component: Bytes) -> Result<(), ObjectError> {
        store::put(&self.0, &parse(reference)?, &component).await.map_err(refused)
    }

    /// Reads the component at a reference, `nats://BUCKET/NAME`. Its digest is compared with what
    /// came.
    ///
    /// # Errors
    /// Returns an error if it is no such reference, there is no such object, or it is not what its
    /// description says.
    pub async fn pull(&self, reference: &str) -> Result<Bytes, ObjectError> {
        let (component, _) = store::read(&self.0, &parse(reference)?).await.map_err(refused)?;
        Ok(component)
    }

    /// Returns the references of all objects in a bucket, `nats://BUCKET`, in alphabetical order.
    ///
    /// # Errors
    /// Returns an error if it is no such reference, or there is no such bucket.
    pub async fn list(&self, bucket: &str) -> Result<Vec<String>, ObjectError> {
        let bucket = ObjectReference::bucket(bucket).map_err(|error| ObjectError(error.into()))?;
        let names = store::list(&self.0, &bucket).await.map_err(refused)?;
        let of = |name| ObjectReference { bucket: bucket.clone(), name }.to_string();
        Ok(names.into_iter().map(of).collect())
    }
}

fn parse(reference: &str) -> Result<ObjectReference, ObjectError> {
    reference.parse().map_err(|error: BadObjectReference| ObjectError(error.into()))
}

fn refused(error: anyhow::Error) -> ObjectError {
    ObjectError(error.into())
}
