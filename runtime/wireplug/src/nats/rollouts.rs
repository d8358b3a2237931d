//! The state of rollouts, in a key-value bucket of JetStream: one key for each codec.

use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::{self, ErrorCode, stream};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::Nats;
use crate::rollout::{Rollout, RolloutStore};

/// How long NATS may take to read or write a state.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many states of a codec the bucket keeps, for people who look what happened.
const HISTORY: i64 = 20;

impl RolloutStore for Nats {
    fn get<'a>(&'a self, codec: &'a str) -> BoxFuture<'a, anyhow::Result<Option<(Rollout, u64)>>> {
        in_time(PATIENCE, async move {
            let Some(bucket) = self.bucket().await? else { return Ok(None) };
            let entry = bucket.entry(key(codec)).await?;
            let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
                return Ok(None);
            };
            let rollout = serde_json::from_slice(&entry.value)
                .context("the state of a rollout is that of another version of wireplug")?;
            Ok(Some((rollout, entry.revision)))
        })
        .boxed()
    }

    fn put<'a>(&'a self, rollout: &'a Rollout, after: Option<u64>) -> BoxFuture<'a, anyhow::Result<bool>> {
        in_time(PATIENCE, async move {
            let (key, state) = (key(&rollout.codec), serde_json::to_vec(rollout)?.into());
            let bucket = match self.bucket().await? {
                Some(bucket) => bucket,
                None => self.new_bucket().await?,
            };
            match after {
                Some(revision) => match bucket.update(key, state, revision).await {
                    Ok(_) => Ok(true),
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
                    Err(error) => Err(error.into()),
                },
                None => match bucket.create(key, state).await {
                    Ok(_) => Ok(true),
                    Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error.into()),
                },
            }
        })
        .boxed()
    }
}

impl Nats {
    /// Returns the bucket, or `None` if there is none.
    async fn bucket(&self) -> anyhow::Result<Option<Store>> {
        let (number, client) = self.0.link.client();
        let known = self.0.rollouts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, store)) = known.filter(|(of, _)| *of == number) {
            return Ok(Some(store));
        }
        let (context, name) = (jetstream::new(client), self.bucket_name());
        if let Err(error) = context.get_stream(format!("KV_{name}")).await {
            return match error.kind() {
                GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(error.into()),
            };
        }
        let store = context.get_key_value(name).await?;
        self.know(number, &store);
        Ok(Some(store))
    }

    /// Creates the bucket. An operator may create it before, for example with several replicas.
    async fn new_bucket(&self) -> anyhow::Result<Store> {
        let (number, client) = self.0.link.client();
        let (context, name) = (jetstream::new(client), self.bucket_name());
        // A bucket is a stream. The library would ask about the account first, and does not
        // understand what servers before 2.10 answer.
        let config = stream::Config {
            name: format!("KV_{name}"),
            description: Some("rollouts of codecs of wireplug".to_owned()),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: HISTORY,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            allow_rollup: true,
            deny_delete: true,
            ..stream::Config::default()
        };
        context.create_stream(config).await?;
        let store = context.get_key_value(name).await?;
        self.know(number, &store);
        Ok(store)
    }

    fn know(&self, client: u64, store: &Store) {
        *self.0.rollouts.lock().unwrap_or_else(PoisonError::into_inner) = Some((client, store.clone()));
    }

    /// Returns the name of the bucket, in which only some characters are allowed.
    fn bucket_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        format!("{}-rollouts", self.0.subjects.prefix.chars().map(plain).collect::<String>())
    }
}

/// Returns the key of a codec: its name, with each byte that a key must not have as `=` and two
/// hexadecimal digits.
fn key(codec: &str) -> String {
    codec.bytes().fold(String::new(), |mut key, byte| {
        // Writing to a string cannot fail.
        let _ = match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) => {
                write!(key, "{}", char::from(byte))
            }
            byte => write!(key, "={byte:02x}"),
        };
        key
    })
}

/// Does some work with JetStream, which must not take longer than `most`.
pub(super) async fn in_time<T>(
    most: Duration,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match timeout(most, work).await {
        Ok(done) => done,
        Err(_) => bail!(
            "NATS has not answered within {} s: is JetStream on, and does this node have the permissions for it?",
            most.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_only_characters_that_keys_may_have() {
        assert_eq!(key("chat-v2_x"), "chat-v2_x");
        assert_eq!(key("a.b c=\u{e9}"), "a=2eb=20c=3d=c3=a9");
    }
}
