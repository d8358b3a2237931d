//! The keys and their values, which all sessions share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::resp::Value;

/// What a key has.
#[derive(Debug)]
enum Entry {
    Text(Bytes),
    Hash(BTreeMap<Bytes, Bytes>),
    Set(BTreeSet<Bytes>),
}

/// All keys. Each method is one command, and returns its answer, or the error for the client.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<HashMap<Bytes, Entry>>);

impl Store {
    pub(crate) fn get(&self, key: &Bytes) -> Result<Value, Value> {
        self.with(|entries| match entries.get(key) {
            None => Ok(Value::Null),
            Some(Entry::Text(text)) => Ok(Value::Bytes(text.clone())),
            Some(_) => Err(wrong_type()),
        })
    }

    pub(crate) fn set(&self, key: &Bytes, text: &Bytes) {
        self.with(|entries| entries.insert(owned(key), Entry::Text(owned(text))));
    }

    pub(crate) fn incr(&self, key: &Bytes) -> Result<Value, Value> {
        self.with(|entries| {
            let old = match entries.get(key) {
                None => 0,
                Some(Entry::Text(text)) => integer(text).ok_or_else(not_an_integer)?,
                Some(_) => return Err(wrong_type()),
            };
            let new = old.checked_add(1).ok_or_else(not_an_integer)?;
            entries.insert(owned(key), Entry::Text(new.to_string().into()));
            Ok(Value::Integer(new))
        })
    }

    pub(crate) fn del(&self, keys: &[Bytes]) -> usize {
        self.with(|entries| keys.iter().filter(|key| entries.remove(*key).is_some()).count())
    }

    pub(crate) fn exists(&self, keys: &[Bytes]) -> usize {
        self.with(|entries| keys.iter().filter(|key| entries.contains_key(*key)).count())
    }

    pub(crate) fn hset(&self, key: &Bytes, fields: &[Bytes]) -> Result<Value, Value> {
        self.with(|entries| {
            let entry = entries.entry(owned(key)).or_insert_with(|| Entry::Hash(BTreeMap::new()));
            let Entry::Hash(hash) = entry else { return Err(wrong_type()) };
            let before = hash.len();
            hash.extend(fields.chunks_exact(2).map(|pair| (owned(&pair[0]), owned(&pair[1]))));
            Ok(Value::count(hash.len() - before))
        })
    }

    pub(crate) fn hgetall(&self, key: &Bytes) -> Result<Value, Value> {
        self.with(|entries| match entries.get(key) {
            None => Ok(Value::Map(Vec::new())),
            Some(Entry::Hash(hash)) => {
                let pairs = hash.iter().map(|(name, value)| (name.clone().into(), value.clone().into()));
                Ok(Value::Map(pairs.collect()))
            }
            Some(_) => Err(wrong_type()),
        })
    }

    pub(crate) fn sadd(&self, key: &Bytes, members: &[Bytes]) -> Result<Value, Value> {
        self.with(|entries| {
            let entry = entries.entry(owned(key)).or_insert_with(|| Entry::Set(BTreeSet::new()));
            let Entry::Set(set) = entry else { return Err(wrong_type()) };
            let before = set.len();
            set.extend(members.iter().map(owned));
            Ok(Value::count(set.len() - before))
        })
    }

    pub(crate) fn smembers(&self, key: &Bytes) -> Result<Value, Value> {
        self.with(|entries| match entries.get(key) {
            None => Ok(Value::Set(Vec::new())),
            Some(Entry::Set(set)) => Ok(Value::Set(set.iter().cloned().map(Value::from).collect())),
            Some(_) => Err(wrong_type()),
        })
    }

    fn with<T>(&self, call: impl FnOnce(&mut HashMap<Bytes, Entry>) -> T) -> T {
        // No method leaves an entry half changed.
        call(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Copies an argument. It is a part of the buffer of its command, which would stay as long as it.
fn owned(argument: &Bytes) -> Bytes {
    Bytes::copy_from_slice(argument)
}

fn integer(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn wrong_type() -> Value {
    Value::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into())
}

fn not_an_integer() -> Value {
    Value::Error("ERR value is not an integer or out of range".into())
}
