//! The application behind the codec `postgres`: a small database with a fixed table.
//!
//! | module | content |
//! |---|---|
//! | `bodies` | the bodies that the codec and the application exchange |
//! | `sql` | reads the few commands that this database knows |
//! | `database` | runs them |

mod bodies;
mod database;
mod sql;

use std::sync::Arc;

use wireplug::app::{Error, Json, State};
use wireplug::{App, Session};

use bodies::{Answer, Extended, Hello, Key, Outcome, Problem, Query, Step, Welcome};
use database::{Backend, Database};

/// The only user.
const USER: &str = "ann";
const PASSWORD: &str = "secret";

/// Lets a client in, or refuses it with FATAL 28P01.
async fn hello(
    Json(hello): Json<Hello>,
    session: Session,
    State(database): State<Arc<Database>>,
) -> Result<Json<Welcome>, Error> {
    if (&*hello.user, &*hello.password) != (USER, PASSWORD) {
        return Err(Error::status(401));
    }
    database.open(&session, hello.key);
    Ok(Json(Welcome { parameters: [("server_version", "15.0 (planets)")].into() }))
}

/// Answers a query of the simple protocol. It may have several statements.
async fn query(
    Json(Query { sql }): Json<Query>,
    session: Session,
    State(database): State<Arc<Database>>,
) -> Result<Json<Answer>, Error> {
    let backend = database.backend(&session)?;
    let mut answer = Answer::default();
    match sql::parse(&sql) {
        Ok(statements) => {
            for statement in statements {
                match backend.run(&statement, &[]).await {
                    Ok(result) => answer.results.push(result),
                    Err(error) => {
                        answer.error = Some(error);
                        break;
                    }
                }
            }
        }
        Err(error) => answer.error = Some(backend.fail(error)),
    }
    answer.transaction = backend.transaction();
    Ok(Json(answer))
}

/// Answers a group of the extended protocol: one result for each step, until the first error.
async fn extended(
    Json(Extended { steps }): Json<Extended>,
    session: Session,
    State(database): State<Arc<Database>>,
) -> Result<Json<Answer>, Error> {
    let backend = database.backend(&session)?;
    let mut answer = Answer::default();
    for step in steps {
        match run_step(step, &backend).await {
            Ok(result) => answer.results.push(result),
            Err(error) => {
                answer.error = Some(error);
                break;
            }
        }
    }
    answer.transaction = backend.transaction();
    Ok(Json(answer))
}

async fn run_step(step: Step, backend: &Backend) -> Result<Outcome, Problem> {
    match step {
        Step::Prepare { sql } => {
            let statement = sql::parse_one(&sql).map_err(|error| backend.fail(error))?;
            backend.describe(&statement)
        }
        Step::Execute { sql, parameters } => {
            let statement = sql::parse_one(&sql).map_err(|error| backend.fail(error))?;
            let outcome = backend.run(&statement, &parameters).await?;
            // The codec has the columns from `prepare`.
            Ok(Outcome { columns: None, ..outcome })
        }
        Step::Fail { message } => Err(backend.fail(Problem::new("XX000", message))),
    }
}

/// Cancels the query of another session. Only the whole key finds the session, so a client that
/// does not know the secret cancels nothing.
async fn cancel(Json(key): Json<Key>, State(database): State<Arc<Database>>) {
    database.cancel(key);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let database = Arc::new(Database::default());
    let closed = Arc::clone(&database);
    let app = App::with_state(database)
        .hello(hello)
        .route("postgres.query", query)
        .route("postgres.extended", extended)
        .route("postgres.cancel", cancel)
        .on_closed(move |session, _| closed.close(session));
    wireplug_gallery::serve(app).await
}
