//! The application behind the codec `stomp`: chat rooms, and a queue of jobs.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wireplug::app::{Error, Handler as _, Json, Request};
use wireplug::session::Message;
use wireplug::{App, Session, Sessions, User};

/// The users and their passwords. A real application keeps only hashes of passwords.
const USERS: [(&str, &str); 2] = [("ann", "secret"), ("bob", "bob's secret")];

const ECHO: &str = "echo";
const JOBS: &str = "queue.jobs";

/// How long a worker may take for a job.
const JOB_TIME: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::new()
        .hello(log_in)
        .route("stomp.subscribed", subscribed)
        .route("stomp.unsubscribed", unsubscribed)
        .route(ECHO, echo)
        // `/chat/garden` and all other rooms.
        .service("chat", say)
        // The next message of a client need not wait until its job is done.
        .route(JOBS, work.concurrent());
    wireplug_gallery::serve(app).await
}

#[derive(Deserialize)]
struct Login {
    login: Option<User>,
    passcode: Option<String>,
}

async fn log_in(Json(client): Json<Login>, session: Session) -> Result<(), Error> {
    let (Some(user), Some(passcode)) = (client.login, client.passcode) else {
        return Err(Error::with_body(401, "send a login and a passcode"));
    };
    if !USERS.contains(&(&*user, &*passcode)) {
        return Err(Error::status(401));
    }
    session.bind(&user)?;
    Ok(())
}

#[derive(Deserialize)]
struct Subscription {
    route: String,
}

/// Adds a client to the group of a route.
async fn subscribed(Json(Subscription { route }): Json<Subscription>, session: Session) -> Result<(), Error> {
    if ![ECHO, JOBS].contains(&&*route) && !route.starts_with("chat.") {
        return Err(Error::with_body(403, format!("nobody may subscribe to {route}")));
    }
    session.join(&route)?;
    Ok(())
}

async fn unsubscribed(Json(Subscription { route }): Json<Subscription>, session: Session) {
    session.leave(&route);
}

/// Sends the body back, which may be any bytes.
async fn echo(body: Bytes, session: Session) -> Result<(), Error> {
    session.send(Message::push(ECHO, body))?;
    Ok(())
}

#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    text: &'a str,
}

/// Sends a text to all who have subscribed to the room.
async fn say(request: Request, user: User, sessions: Sessions) -> Result<(), Error> {
    let text = str::from_utf8(&request.body).map_err(|_| Error::status(400))?;
    sessions.group(&request.route).push(&request.route, &Said { from: &user, text })?;
    Ok(())
}

/// Gives a job to one worker after the other, until one of them acknowledges it.
async fn work(job: Bytes, sessions: Sessions) -> Result<(), Error> {
    for worker in sessions.group(JOBS).sessions() {
        match worker.request_bytes(JOBS, job.clone()).timeout(JOB_TIME).await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            // The worker refuses the job, takes too long or has gone.
            Ok(_) | Err(_) => {}
        }
    }
    Err(Error::with_body(503, "no worker has done the job"))
}
