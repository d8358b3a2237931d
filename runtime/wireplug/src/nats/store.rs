//! An object store of JetStream: reads, puts and lists components.
//!
//! What an object store holds is never trusted: it has limits of time and size, and the digest is
//! computed here.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::object_store::{InfoErrorKind, ObjectInfo, ObjectStore};
use async_nats::jetstream::{Context, ErrorCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::codec::Digest;
use crate::slot::{MAX_COMPONENT, ObjectReference};

/// How long the next part of an object may take. If another version is put while an object is read,
/// the parts of the old one are deleted, and none of them comes any more.
const SILENCE: Duration = Duration::from_secs(5);

/// How much of an object is read at a time, in bytes. It is the usual size of a part.
const PART: usize = 128 << 10;

/// What the description of an object says, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Described {
    size: u64,
    digest: Digest,
}

/// Reads a component.
///
/// # Errors
/// Returns an error if there is no such object, it is too large, or what comes is not what its
/// description says.
pub(super) async fn read(context: &Context, reference: &ObjectReference) -> anyhow::Result<(Bytes, Digest)> {
    let store = open(context, &reference.bucket).await?;
    // The library follows links, also in a circle.
    described(&store, &reference.name).await?;
    let mut object = store.get(&reference.name).await?;
    let Described { size, digest } = Described::by(object.info())?;
    let (mut component, mut part) = (Vec::new(), vec![0; PART]);
    loop {
        let read = timeout(SILENCE, object.read(&mut part)).await;
        let read = read.map_err(|_| {
            anyhow!(
                "nothing of the object has come for {} s: perhaps another version was put meanwhile",
                SILENCE.as_secs()
            )
        })?;
        let count = read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => anyhow!("what came is not what the digest of the object says"),
            _ => anyhow::Error::new(error).context("the object could not be read to its end"),
        })?;
        if count == 0 {
            break;
        }
        ensure!((component.len() + count) as u64 <= size, "more bytes come than the {size} of the object");
        component.extend_from_slice(&part[..count]);
    }
    let came = Digest::of(&component);
    ensure!(came == digest, "the object has the digest {digest}, and what came has {came}");
    Ok((component.into(), digest))
}

/// Puts a component in the place of the one that is there.
///
/// # Errors
/// Returns an error if the component is too large, there is no such bucket, or it has no room.
pub(super) async fn put(
    context: &Context,
    reference: &ObjectReference,
    component: &[u8],
) -> anyhow::Result<()> {
    let size = component.len() as u64;
    ensure!(size <= MAX_COMPONENT, "the component has {size} bytes, and the most is {MAX_COMPONENT}");
    let store = open(context, &reference.bucket).await?;
    store.put(&*reference.name, &mut &*component).await?;
    Ok(())
}

/// Returns the names of the objects in a bucket, in alphabetical order.
///
/// # Errors
/// Returns an error if there is no such bucket.
pub(super) async fn list(context: &Context, bucket: &str) -> anyhow::Result<Vec<String>> {
    let mut list = open(context, bucket).await?.list().await?;
    let mut names = Vec::new();
    while let Some(object) = list.next().await {
        names.push(object?.name);
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns the subject of an object's description.
pub(super) fn description_subject(ObjectReference { bucket, name }: &ObjectReference) -> String {
    format!("$O.{bucket}.M.{}", URL_SAFE.encode(name))
}

/// Returns the error if there is no such bucket.
pub(super) fn no_bucket(bucket: &str, error: &GetStreamError) -> Option<anyhow::Error> {
    let GetStreamErrorKind::JetStream(why) = error.kind() else { return None };
    (why.error_code() == ErrorCode::STREAM_NOT_FOUND)
        .then(|| anyhow!("there is no object store {bucket}: `nats object add {bucket}` creates it"))
}

pub(super) fn gone() -> anyhow::Error {
    anyhow!("the object is gone, or was never put")
}

async fn open(context: &Context, bucket: &str) -> anyhow::Result<ObjectStore> {
    context.get_object_store(bucket).await.map_err(|error| {
        let stream = error.source().and_then(|source| source.downcast_ref::<GetStreamError>());
        stream.and_then(|error| no_bucket(bucket, error)).unwrap_or_else(|| error.into())
    })
}

async fn described(store: &ObjectStore, name: &str) -> anyhow::Result<Described> {
    match store.info(name).await {
        Ok(info) => Described::by(&info),
        Err(error) if error.kind() == InfoErrorKind::NotFound => Err(gone()),
        Err(error) => Err(error.into()),
    }
}

impl Described {
    /// Reads the description of an object.
    ///
    /// # Errors
    /// Returns an error if the object is gone, or cannot be a component.
    pub(super) fn by(info: &ObjectInfo) -> anyhow::Result<Self> {
        if info.deleted {
            return Err(gone());
        }
        let is_link = info.options.as_ref().is_some_and(|options| options.link.is_some());
        ensure!(!is_link, "it is a link to another object: name the object itself");
        let size = info.size as u64;
        ensure!(size <= MAX_COMPONENT, "the object has {size} bytes, and the most is {MAX_COMPONENT}");
        let digest = info.digest.as_deref().and_then(sha256);
        let digest =
            digest.context("the object has no SHA-256 digest: put it again with a client that adds one")?;
        Ok(Self { size, digest })
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

/// Parses the digest of an object.
fn sha256(text: &str) -> Option<Digest> {
    let bytes = URL_SAFE.decode(text.strip_prefix("SHA-256=")?).ok()?;
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn described(change: Value) -> anyhow::Result<Described> {
        let digest = "SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=";
        let mut info = json!({
            "name": "chat.wasm", "bucket": "codecs", "nuid": "N", "size": 7, "chunks": 1, "digest": digest,
            "mtime": "2026-01-01T00:00:00Z", "options": { "max_chunk_size": 131072 },
        });
        let Value::Object(change) = change else { panic!("it is an object") };
        info.as_object_mut().expect("it is an object").extend(change);
        Described::by(&serde_json::from_value(info).expect("it is a description"))
    }

    #[test]
    fn an_object_is_known_by_its_digest() {
        let found = described(json!({})).expect("it is right");
        assert_eq!(found, Described { size: 7, digest: Digest::of(b"") });
        described(json!({ "size": MAX_COMPONENT })).expect("it is not too large");
    }

    #[test]
    fn what_can_be_no_component_is_refused_by_its_description() {
        for (change, why) in [
            (json!({ "deleted": true, "size": 0, "chunks": 0 }), "the object is gone"),
            (json!({ "options": { "link": { "bucket": "codecs", "name": "other" } } }), "it is a link"),
            (json!({ "options": { "link": { "bucket": "other" } } }), "it is a link"),
            (json!({ "size": MAX_COMPONENT + 1 }), "has 268435457 bytes, and the most is 268435456"),
            (json!({ "digest": null }), "no SHA-256 digest"),
            (json!({ "digest": "MD5=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=" }), "no SHA-256 digest"),
            (json!({ "digest": "SHA-256=47DEQpj8" }), "no SHA-256 digest"),
        ] {
            let error = described(change.clone()).expect_err("this is wrong").to_string();
            assert!(error.contains(why), "{change}: {error}");
        }
    }
}
