//! The application behind the codec `redis`: a small store of keys, and channels.
//!
//! Each command is a route. Handlers take the arguments of the command, which may be any bytes, and
//! return a [`Value`]. The codec does the rest: HELLO, QUIT, confirmations of subscriptions, and
//! the clients of RESP2.

mod resp;
mod store;

use std::sync::Arc;

use bytes::Bytes;
use wireplug::app::{Error, State};
use wireplug::session::Group;
use wireplug::{App, Session, Sessions, User};

use resp::{Arguments, Exactly, Value};
use store::Store;

type Keys = State<Arc<Store>>;
type Answer = Result<Value, Error>;

/// The only user, for this demonstration. A real application asks a directory of users, and keeps
/// no passwords in its code.
const USER: (&str, &str) = ("ann", "secret");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::with_state(Arc::new(Store::default()))
        .route("redis.ping", ping)
        .route("redis.echo", async |Exactly([text]): Exactly<1>| Value::Bytes(text))
        .route("redis.get", get)
        .route("redis.set", set)
        .route("redis.incr", incr)
        .route("redis.del", del)
        .route("redis.exists", exists)
        .route("redis.hset", hset)
        .route("redis.hgetall", hgetall)
        .route("redis.sadd", sadd)
        .route("redis.smembers", smembers)
        .route("redis.subscribe", subscribe)
        .route("redis.unsubscribe", unsubscribe)
        .route("redis.publish", publish)
        .route("redis.auth", auth)
        .route("redis.acl", acl)
        .route("redis.reset", reset)
        .route("redis.client", client)
        .route("redis.command", command)
        .route("redis.config", config)
        .route("redis.debug", debug);
    wireplug_gallery::serve(app).await
}

async fn ping(Arguments(arguments): Arguments) -> Answer {
    match &arguments[..] {
        [] => Ok(Value::Pong),
        [text] => Ok(Value::Bytes(text.clone())),
        _ => Err(Error::status(400)),
    }
}

// === keys ===

async fn get(Exactly([key]): Exactly<1>, State(keys): Keys) -> Answer {
    Ok(keys.get(&key)?)
}

async fn set(Exactly([key, text]): Exactly<2>, State(keys): Keys) {
    keys.set(&key, &text);
}

async fn incr(Exactly([key]): Exactly<1>, State(keys): Keys) -> Answer {
    Ok(keys.incr(&key)?)
}

async fn del(Arguments(names): Arguments, State(keys): Keys) -> Value {
    Value::count(keys.del(&names))
}

async fn exists(Arguments(names): Arguments, State(keys): Keys) -> Value {
    Value::count(keys.exists(&names))
}

async fn hset(Arguments(arguments): Arguments, State(keys): Keys) -> Answer {
    match &arguments[..] {
        [key, fields @ ..] if !fields.is_empty() && fields.len().is_multiple_of(2) => {
            Ok(keys.hset(key, fields)?)
        }
        _ => Err(Error::status(400)),
    }
}

async fn hgetall(Exactly([key]): Exactly<1>, State(keys): Keys) -> Answer {
    Ok(keys.hgetall(&key)?)
}

async fn sadd(Arguments(arguments): Arguments, State(keys): Keys) -> Answer {
    match &arguments[..] {
        [key, members @ ..] if !members.is_empty() => Ok(keys.sadd(key, members)?),
        _ => Err(Error::status(400)),
    }
}

async fn smembers(Exactly([key]): Exactly<1>, State(keys): Keys) -> Answer {
    Ok(keys.smembers(&key)?)
}

// === channels ===

/// The groups of subscribers begin with this.
const CHANNEL: &str = "channel ";

/// Returns the group of those who have subscribed to a channel. Names of groups are text, and names
/// of channels may be any bytes.
fn group(channel: &[u8]) -> Result<Group, Error> {
    Ok(Group::new(&format!("{CHANNEL}'{}'", channel.escape_ascii()))
        .map_err(|_| Value::Error("ERR the name of the channel is too long".into()))?)
}

async fn subscribe(Arguments(channels): Arguments, session: Session) -> Result<(), Error> {
    let groups: Vec<_> = channels.iter().map(|channel| group(channel)).collect::<Result<_, _>>()?;
    for group in groups {
        session.join(&group)?;
    }
    Ok(())
}

/// Without channels, ends all subscriptions.
async fn unsubscribe(Arguments(channels): Arguments, session: Session) -> Result<(), Error> {
    if channels.is_empty() {
        leave_channels(&session);
    }
    for channel in &channels {
        session.leave(&group(channel)?);
    }
    Ok(())
}

fn leave_channels(session: &Session) {
    session.groups().iter().filter(|group| group.starts_with(CHANNEL)).for_each(|group| session.leave(group));
}

async fn publish(Exactly([channel, text]): Exactly<2>, sessions: Sessions) -> Answer {
    let push = Value::Push(vec![Value::text("message"), channel.clone().into(), text.into()]);
    Ok(Value::count(sessions.group(&group(&channel)?).send(&push.into_push())))
}

// === the connection ===

/// The codec sends AUTH with a user and a password, and also `HELLO 3 AUTH user password`.
async fn auth(Exactly([user, password]): Exactly<2>, session: Session) -> Result<(), Error> {
    if (&user[..], &password[..]) != (USER.0.as_bytes(), USER.1.as_bytes()) {
        return Err(Error::status(401));
    }
    session.bind(USER.0)?;
    Ok(())
}

/// A session that is not bound to a user gets status 401, which is `NOAUTH` to the client.
async fn acl(Arguments(arguments): Arguments, user: User) -> Answer {
    let (verb, rest) = subcommand(&arguments);
    match (&*verb, rest) {
        ("whoami", []) => Ok(Value::Bytes(user.to_string().into())),
        _ => Err(unknown_subcommand()),
    }
}

async fn reset(session: Session) -> Result<(), Error> {
    leave_channels(&session);
    session.set("name", None);
    session.unbind()?;
    Ok(())
}

/// The codec also sends the name in `HELLO 3 SETNAME name` here.
async fn client(Arguments(arguments): Arguments, session: Session) -> Answer {
    let (verb, rest) = subcommand(&arguments);
    match (&*verb, rest) {
        ("setname", [name]) => {
            let name =
                str::from_utf8(name).ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
            let name =
                name.ok_or(Value::Error("ERR Client names cannot contain spaces or newlines".into()))?;
            session.set("name", Some(name).filter(|name| !name.is_empty()));
            Ok(Value::Ok)
        }
        ("getname", []) => {
            Ok(session.setting("name").map_or(Value::Null, |name| Value::Bytes(name.to_string().into())))
        }
        // Libraries introduce themselves.
        ("setinfo", [_, _]) => Ok(Value::Ok),
        _ => Err(unknown_subcommand()),
    }
}

// === the server ===

/// What redis-cli asks for when a person starts it, for its help.
async fn command(Arguments(arguments): Arguments) -> Answer {
    const SUMMARIES: [(&str, &str); 3] = [
        ("get", "Returns the text of a key."),
        ("hgetall", "Returns all fields and values of a hash."),
        ("set", "Sets the text of a key."),
    ];
    let (verb, rest) = subcommand(&arguments);
    match (&*verb, rest) {
        ("docs", _) => {
            let docs = |text| Value::Map(vec![(Value::text("summary"), Value::text(text))]);
            Ok(Value::Map(SUMMARIES.map(|(name, summary)| (Value::text(name), docs(summary))).into()))
        }
        _ => Err(unknown_subcommand()),
    }
}

/// What redis-benchmark asks for: whether keys are written to a disk.
async fn config(Arguments(arguments): Arguments) -> Answer {
    let (verb, rest) = subcommand(&arguments);
    match (&*verb, rest) {
        ("get", [name]) => Ok(Value::Map(match &name[..] {
            b"save" => vec![(Value::text("save"), Value::text(""))],
            b"appendonly" => vec![(Value::text("appendonly"), Value::text("no"))],
            _ => Vec::new(),
        })),
        _ => Err(unknown_subcommand()),
    }
}

/// `DEBUG PROTOCOL type` shows each type of the protocol, as Redis has it.
async fn debug(Arguments(arguments): Arguments, session: Session) -> Answer {
    let (verb, rest) = subcommand(&arguments);
    let ("protocol", [kind]) = (&*verb, rest) else { return Err(unknown_subcommand()) };
    let numbers = || (0..3).map(Value::Integer);
    Ok(match &kind[..] {
        b"string" => Value::text("Hello World"),
        b"integer" => Value::Integer(12345),
        // The same number as from Redis. It is not meant to be π.
        #[expect(clippy::approx_constant)]
        b"double" => Value::Double(3.141),
        b"null" => Value::Null,
        b"array" => Value::Array(numbers().collect()),
        b"set" => Value::Set(numbers().collect()),
        b"map" => {
            Value::Map((0..3).map(|number| (Value::Integer(number), Value::Boolean(number == 1))).collect())
        }
        b"attrib" => Value::Attribute(
            vec![(
                Value::text("key-popularity"),
                Value::Array(vec![Value::text("key:123"), Value::Integer(90)]),
            )],
            Box::new(Value::text("Some real reply following the attribute")),
        ),
        b"push" => {
            session
                .send(Value::Push(vec![Value::text("server-cpu-usage"), Value::Integer(42)]).into_push())?;
            Value::text("Some real reply following the push reply")
        }
        b"verbatim" => Value::Verbatim("This is a verbatim\nstring"),
        b"true" => Value::Boolean(true),
        b"false" => Value::Boolean(false),
        b"bignum" => Value::BigNumber("1234567999999999999999999999999999999"),
        _ => return Err(unknown_subcommand()),
    })
}

/// Splits the arguments of a command such as CLIENT, whose first one says what to do.
fn subcommand(arguments: &[Bytes]) -> (String, &[Bytes]) {
    match arguments.split_first() {
        Some((verb, rest)) => (String::from_utf8_lossy(verb).to_ascii_lowercase(), rest),
        None => (String::new(), &[]),
    }
}

fn unknown_subcommand() -> Error {
    Value::Error("ERR unknown subcommand or wrong number of arguments".into()).into()
}
