//! A database with one fixed table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;
use wireplug::Session;
use wireplug::app::Error;
use wireplug::session::SessionId;

use crate::bodies::{Column, Deallocate, Key, Notice, Notification, Outcome, Problem, Transaction};
use crate::sql::{Name, Operand, Statement};

/// The columns of the table `planets`.
const COLUMNS: [Column; 6] = [
    Column { name: "id", r#type: "int4" },
    Column { name: "name", r#type: "text" },
    Column { name: "moons", r#type: "int4" },
    Column { name: "mass", r#type: "float8" },
    Column { name: "rings", r#type: "bool" },
    Column { name: "discovered", r#type: "date" },
];

/// The beginning of the names of groups: those who listen to a channel.
const CHANNEL: &str = "channel.";

fn planets() -> [Vec<Value>; 4] {
    [
        vec![json!(3), json!("Earth"), json!(1), json!(5.972), json!(false), Value::Null],
        vec![json!(6), json!("Saturn"), json!(274), json!(568.3), json!(true), Value::Null],
        vec![json!(7), json!("Uranus"), json!(29), json!(86.81), json!(true), json!("1781-03-13")],
        vec![json!(8), json!("Neptune"), json!(16), json!(102.4), json!(true), json!("1846-09-23")],
    ]
}

/// The sessions of the database.
#[derive(Default)]
pub struct Database {
    backends: Mutex<Backends>,
}

#[derive(Default)]
struct Backends {
    by_session: HashMap<SessionId, Arc<Backend>>,
    by_key: HashMap<Key, Arc<Backend>>,
}

/// What the database knows of a session.
pub struct Backend {
    session: Session,
    key: Key,
    transaction: Mutex<Transaction>,
    /// Wakes a command that can be cancelled. Nothing happens if no such command runs.
    cancelled: Notify,
}

impl Database {
    pub fn open(&self, session: &Session, key: Key) {
        let backend = Arc::new(Backend {
            session: session.clone(),
            key,
            transaction: Mutex::default(),
            cancelled: Notify::new(),
        });
        self.with(|backends| {
            backends.by_key.insert(key, Arc::clone(&backend));
            backends.by_session.insert(session.id(), backend);
        });
    }

    pub fn close(&self, session: &Session) {
        self.with(|backends| {
            if let Some(backend) = backends.by_session.remove(&session.id()) {
                backends.by_key.remove(&backend.key);
            }
        });
    }

    pub fn backend(&self, session: &Session) -> Result<Arc<Backend>, Error> {
        let backend = self.with(|backends| backends.by_session.get(&session.id()).cloned());
        backend.ok_or_else(|| Error::status(500).because("the session has not said hello"))
    }

    pub fn cancel(&self, key: Key) {
        if let Some(backend) = self.with(|backends| backends.by_key.get(&key).cloned()) {
            backend.cancelled.notify_waiters();
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Backends) -> R) -> R {
        f(&mut self.backends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Backend {
    pub fn transaction(&self) -> Transaction {
        *self.transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_transaction(&self, transaction: Transaction) {
        *self.transaction.lock().unwrap_or_else(PoisonError::into_inner) = transaction;
    }

    /// Notes that a command has failed, which a transaction does not survive.
    pub fn fail(&self, problem: Problem) -> Problem {
        if self.transaction() == Transaction::Open {
            self.set_transaction(Transaction::Failed);
        }
        problem
    }

    /// Says which parameters and columns a statement has.
    pub fn describe(&self, statement: &Statement) -> Result<Outcome, Problem> {
        let parameter = |operand: &Operand, r#type| match operand {
            Operand::Parameter(_) => vec![r#type],
            _ => Vec::new(),
        };
        let (parameters, columns) = match statement {
            Statement::Select { columns, table, filter } => {
                let columns = find_columns(columns, table).map_err(|problem| self.fail(problem))?;
                let filter = filter.as_ref().map(|(name, operand)| (find_column(name), operand));
                let parameters = match filter {
                    Some((index, operand)) => {
                        let index = index.map_err(|problem| self.fail(problem))?;
                        parameter(operand, COLUMNS[index].r#type)
                    }
                    None => Vec::new(),
                };
                (parameters, Some(columns.into_iter().map(|index| COLUMNS[index]).collect()))
            }
            Statement::Constant(operand) => (parameter(operand, "text"), Some(vec![constant(operand)])),
            Statement::Sleep(seconds) => (parameter(seconds, "float8"), Some(vec![void("pg_sleep")])),
            Statement::Notify { channel, payload, is_function } => {
                let parameters = [parameter(channel, "text"), parameter(payload, "text")].concat();
                (parameters, is_function.then(|| vec![void("pg_notify")]))
            }
            _ => (Vec::new(), None),
        };
        Ok(Outcome { parameters: Some(parameters), columns, ..Outcome::default() })
    }

    /// Runs a statement.
    pub async fn run(
        &self,
        statement: &Statement,
        parameters: &[Option<String>],
    ) -> Result<Outcome, Problem> {
        let ends_transaction = matches!(statement, Statement::Commit | Statement::Rollback);
        if self.transaction() == Transaction::Failed && !ends_transaction {
            return Err(Problem::new(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        self.run_in_transaction(statement, parameters).await.map_err(|problem| self.fail(problem))
    }

    async fn run_in_transaction(
        &self,
        statement: &Statement,
        parameters: &[Option<String>],
    ) -> Result<Outcome, Problem> {
        match statement {
            Statement::Select { columns, table, filter } => {
                let indexes = find_columns(columns, table)?;
                let mut rows: Vec<_> = planets().into();
                if let Some((name, operand)) = filter {
                    let column = find_column(name)?;
                    let wanted = typed(COLUMNS[column], value(operand, parameters)?)?;
                    // NULL is equal to nothing.
                    rows.retain(|row| !wanted.is_null() && row[column] == wanted);
                }
                let rows = rows.iter().map(|row| indexes.iter().map(|index| row[*index].clone()).collect());
                Ok(select(indexes.iter().map(|index| COLUMNS[*index]).collect(), rows.collect()))
            }
            Statement::Constant(operand) => {
                Ok(select(vec![constant(operand)], vec![vec![json!(value(operand, parameters)?)]]))
            }
            Statement::Sleep(operand) => {
                let seconds = value(operand, parameters)?.unwrap_or_default();
                let seconds =
                    seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let seconds =
                    seconds.ok_or_else(|| Problem::new("22023", "pg_sleep takes a number of seconds"))?;
                tokio::select! {
                    () = sleep(seconds) => Ok(select(vec![void("pg_sleep")], vec![vec![json!("")]])),
                    () = self.cancelled.notified() => {
                        Err(Problem::new("57014", "canceling statement due to user request"))
                    }
                }
            }
            Statement::Notify { channel, payload, is_function } => {
                let channel = value(channel, parameters)?.unwrap_or_default();
                let payload = value(payload, parameters)?.unwrap_or_default();
                self.notify(&channel, &payload);
                Ok(match is_function {
                    true => select(vec![void("pg_notify")], vec![vec![json!("")]]),
                    false => command("NOTIFY"),
                })
            }
            Statement::Listen(channel) => {
                let joined = self.session.join(&format!("{CHANNEL}{channel}"));
                joined.map_err(|error| Problem::new("42602", error.to_string()))?;
                Ok(command("LISTEN"))
            }
            Statement::Unlisten(channel) => {
                let groups = self.session.groups();
                let channels = groups.iter().filter_map(|group| group.strip_prefix(CHANNEL));
                for listened in
                    channels.filter(|listened| channel.as_ref().is_none_or(|channel| channel == listened))
                {
                    self.session.leave(&format!("{CHANNEL}{listened}"));
                }
                Ok(command("UNLISTEN"))
            }
            Statement::Raise(message) => {
                // The notice goes out at once. A command that takes long can report its progress.
                let pushed = self.session.push("postgres.notice", &Notice { message });
                pushed.map_err(|error| Problem::new("53000", error.to_string()))?;
                Ok(command("DO"))
            }
            Statement::Begin => {
                self.set_transaction(Transaction::Open);
                Ok(command("BEGIN"))
            }
            Statement::Commit if self.transaction() != Transaction::Failed => {
                self.set_transaction(Transaction::Idle);
                Ok(command("COMMIT"))
            }
            // A failed transaction cannot be committed.
            Statement::Commit | Statement::Rollback => {
                self.set_transaction(Transaction::Idle);
                Ok(command("ROLLBACK"))
            }
            Statement::Deallocate(name) => {
                let deallocate = name.clone().map_or(Deallocate::All, Deallocate::Name);
                Ok(Outcome { deallocate: Some(deallocate), ..command("DEALLOCATE") })
            }
        }
    }

    fn notify(&self, channel: &str, payload: &str) {
        let notification = Notification { channel, payload, process: self.key.process };
        let listeners = self.session.sessions().group(&format!("{CHANNEL}{channel}"));
        // It has only texts and a number, so it always becomes JSON.
        let _ = listeners.push("postgres.notification", &notification);
    }
}

fn command(tag: &'static str) -> Outcome {
    Outcome { command: Some(tag), ..Outcome::default() }
}

fn select(columns: Vec<Column>, rows: Vec<Vec<Value>>) -> Outcome {
    Outcome { columns: Some(columns), rows, ..Outcome::default() }
}

fn void(name: &'static str) -> Column {
    Column { name, r#type: "void" }
}

fn constant(operand: &Operand) -> Column {
    let r#type = if matches!(operand, Operand::Number(_)) { "int4" } else { "text" };
    Column { name: "?column?", r#type }
}

fn find_columns(names: &[Name], table: &Name) -> Result<Vec<usize>, Problem> {
    if table.text != "planets" {
        let text = format!("relation \"{}\" does not exist", table.text);
        return Err(Problem::new("42P01", text).at(table.position));
    }
    if names.is_empty() { Ok((0..COLUMNS.len()).collect()) } else { names.iter().map(find_column).collect() }
}

fn find_column(name: &Name) -> Result<usize, Problem> {
    COLUMNS.iter().position(|column| column.name == name.text).ok_or_else(|| {
        Problem::new("42703", format!("column \"{}\" does not exist", name.text)).at(name.position)
    })
}

fn value(operand: &Operand, parameters: &[Option<String>]) -> Result<Option<String>, Problem> {
    match operand {
        Operand::Text(text) | Operand::Number(text) => Ok(Some(text.clone())),
        Operand::Parameter(index) => {
            let missing = || Problem::new("42P02", format!("there is no parameter ${}", index + 1));
            parameters.get(*index).cloned().ok_or_else(missing)
        }
    }
}

/// Returns a value of a column from its text.
fn typed(column: Column, text: Option<String>) -> Result<Value, Problem> {
    let Some(text) = text else { return Ok(Value::Null) };
    let parsed = match column.r#type {
        "int4" => text.parse::<i32>().ok().map(Value::from),
        "float8" => text.parse::<f64>().ok().map(Value::from),
        "bool" => match &*text {
            "t" | "true" => Some(Value::from(true)),
            "f" | "false" => Some(Value::from(false)),
            _ => None,
        },
        _ => Some(Value::from(&*text)),
    };
    parsed.ok_or_else(|| {
        Problem::new("22P02", format!("invalid input syntax for type {}: \"{text}\"", column.r#type))
    })
}
