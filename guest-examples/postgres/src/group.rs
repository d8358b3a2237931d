//! The messages of the extended protocol between two Syncs.
//!
//! PostgreSQL runs such a group as one transaction, and skips the rest of the group after an error.
//! So the codec collects a group, and passes what the application must do as one request. The steps
//! that remain for the codec run when the response comes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::application::Call;
use crate::message::{self, Reader};
use crate::report::{Report, code};
use crate::run::{Statement, Step};
use crate::types::Type;

/// The number of portals that a group may have at a time. Most clients use only the unnamed one.
const MAX_PORTALS: usize = 16;

/// What a step counts beside the bytes of its message: about the memory that it takes.
const STEP_SIZE: usize = 32;

/// What a client has sent since the last Sync.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Group {
    /// What has not been passed on yet.
    pub(crate) steps: Vec<Step>,
    /// What the application must do for these steps: JSON values, with commas between them.
    calls: String,
    /// The statements that these steps have parsed, or closed.
    statements: BTreeMap<String, Option<Parsed>>,
    portals: BTreeMap<String, Portal>,
    /// The bytes that the messages of these steps count.
    size: usize,
    /// An error has ended the group. The rest of its messages is skipped.
    pub(crate) skips: bool,
}

/// A statement whose parameters are known only as far as the client has given their types.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Parsed {
    sql: String,
    types: Vec<Option<Type>>,
}

/// A statement with its parameters.
#[derive(Debug, Deserialize, Serialize)]
struct Portal {
    statement: Parsed,
    parameters: Vec<Option<String>>,
    is_executed: bool,
}

/// The statements of the session that earlier groups have prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) statements: &'a BTreeMap<String, Statement>,
    /// Earlier requests may still change the statements.
    pub(crate) is_unsettled: bool,
}

/// Why a message is not handled as usual.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The message depends on a response that has not come yet.
    Wait,
    Fail(Report),
}

impl From<Report> for Stop {
    fn from(report: Report) -> Self {
        Self::Fail(report)
    }
}

impl<'a> Prepared<'a> {
    fn get(self, name: &str) -> Result<Option<&'a Statement>, Stop> {
        if self.is_unsettled { Err(Stop::Wait) } else { Ok(self.statements.get(name)) }
    }
}

impl Group {
    /// Returns the bytes that the steps count against the limit of what may be unanswered.
    pub(crate) fn size(&self) -> usize {
        self.size + self.calls.len()
    }

    /// Whether the messages of the group may change the statements of the session.
    pub(crate) fn changes_statements(&self) -> bool {
        !self.statements.is_empty()
    }

    /// Takes out the steps, and the body of the request for the application if it must do anything.
    ///
    /// The session has the statements of the group when the steps have run, and no other message
    /// of the group is handled before.
    pub(crate) fn take(&mut self) -> (Vec<Step>, Option<String>) {
        self.statements.clear();
        self.size = 0;
        let calls = std::mem::take(&mut self.calls);
        let body = (!calls.is_empty()).then(|| format!("{{\"steps\":[{calls}]}}"));
        (std::mem::take(&mut self.steps), body)
    }

    /// Ends the group with an error, which is reported in its turn. The application learns of it
    /// too, because the error also ends the transaction.
    pub(crate) fn fail(&mut self, report: Report) {
        push_json(&Call::Fail { message: report.message() }, &mut self.calls);
        self.steps.push(Step::Fail(report));
        self.skips = true;
    }

    /// Counts a message of this many bytes.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.size += bytes + STEP_SIZE;
    }

    // === the messages ===

    pub(crate) fn parse(&mut self, mut fields: Reader<'_>, prepared: Prepared<'_>) -> Result<(), Stop> {
        let (name, sql) = (fields.name()?, fields.text()?);
        let count = fields.u16()?;
        // OID 0 leaves the type to the server.
        let types = (0..count).map(|_| Ok(Some(Type(fields.u32()?)).filter(|r#type| r#type.0 != 0)));
        let types: Vec<_> = types.collect::<Result<_, Report>>()?;
        fields.end()?;
        // The unnamed statement is replaced, and a named one must be closed first.
        if !name.is_empty() {
            if self.has_statement(name, prepared)? {
                let text = format!("prepared statement {name:?} already exists");
                return Err(Report::new(code::DUPLICATE_STATEMENT, text).into());
            }
            Statement::check_room(prepared.statements, self.statements.len(), sql)?;
        }
        push_json(&Call::Prepare { sql, types: &types }, &mut self.calls);
        self.statements.insert(name.to_owned(), Some(Parsed { sql: sql.to_owned(), types: types.clone() }));
        self.steps.push(Step::Parse { name: name.to_owned(), sql: sql.to_owned(), types });
        Ok(())
    }

    pub(crate) fn bind(&mut self, mut fields: Reader<'_>, prepared: Prepared<'_>) -> Result<(), Stop> {
        let (portal, name) = (fields.name()?, fields.name()?);
        let formats = formats(&mut fields)?;
        let count = usize::from(fields.u16()?);
        let (statement, expected) = self.statement(name, prepared)?;
        if expected.is_some_and(|expected| expected != count) {
            let text = format!(
                "bind message supplies {count} parameters, but prepared statement {name:?} requires {}",
                statement.types.len()
            );
            return Err(Report::new(code::PROTOCOL_VIOLATION, text).into());
        }
        if formats.len() > 1 && formats.len() != count {
            let text = format!("bind message has {} parameter formats but {count} parameters", formats.len());
            return Err(Report::new(code::PROTOCOL_VIOLATION, text).into());
        }
        let mut parameters = Vec::new();
        for index in 0..count {
            let r#type = statement.types.get(index).copied().flatten();
            parameters.push(match fields.value()? {
                Some(value) => Some(parameter(index, value, is_binary(&formats, index), r#type)?),
                None => None,
            });
        }
        let formats = self::formats(&mut fields)?;
        fields.end()?;
        if !portal.is_empty() && self.portals.contains_key(portal) {
            let text = format!("portal {portal:?} already exists");
            return Err(Report::new(code::DUPLICATE_PORTAL, text).into());
        }
        if self.portals.len() >= MAX_PORTALS && !self.portals.contains_key(portal) {
            let text = format!("there are more than {MAX_PORTALS} portals");
            return Err(Report::new(code::LIMIT_EXCEEDED, text).into());
        }
        // The portal has a copy of the text.
        self.size += statement.sql.len();
        self.portals.insert(portal.to_owned(), Portal { statement, parameters, is_executed: false });
        self.steps.push(Step::Bind { portal: portal.to_owned(), statement: name.to_owned(), formats });
        Ok(())
    }

    pub(crate) fn describe(&mut self, mut fields: Reader<'_>, prepared: Prepared<'_>) -> Result<(), Stop> {
        let (kind, name) = (fields.u8()?, fields.name()?);
        fields.end()?;
        self.steps.push(match kind {
            b'S' if self.has_statement(name, prepared)? => Step::DescribeStatement(name.to_owned()),
            b'S' => return Err(no_statement(name).into()),
            b'P' if self.portals.contains_key(name) => Step::DescribePortal(name.to_owned()),
            b'P' => return Err(no_portal(name).into()),
            _ => return Err(wrong_kind("DESCRIBE", kind).into()),
        });
        Ok(())
    }

    pub(crate) fn execute(&mut self, mut fields: Reader<'_>) -> Result<(), Stop> {
        let (name, max_rows) = (fields.name()?, fields.u32()?);
        fields.end()?;
        let Some(portal) = self.portals.get_mut(name) else { return Err(no_portal(name).into()) };
        if std::mem::replace(&mut portal.is_executed, true) {
            let report = Report::new(code::PORTAL_NOT_READY, format!("portal {name:?} cannot be run again"));
            return Err(report.hint("This server returns all rows of a portal at once.").into());
        }
        let Portal { statement, parameters, .. } = portal;
        let Parsed { sql, types } = statement;
        // A negative number is no limit either.
        let max_rows = (1..1 << 31).contains(&max_rows).then_some(max_rows);
        push_json(&Call::Execute { sql, types, parameters, max_rows }, &mut self.calls);
        self.steps.push(Step::Execute { portal: name.to_owned(), max_rows });
        Ok(())
    }

    pub(crate) fn close(&mut self, mut fields: Reader<'_>) -> Result<(), Stop> {
        let (kind, name) = (fields.u8()?, fields.name()?);
        fields.end()?;
        self.steps.push(match kind {
            b'S' => {
                self.statements.insert(name.to_owned(), None);
                Step::CloseStatement(name.to_owned())
            }
            b'P' => {
                self.portals.remove(name);
                Step::ClosePortal(name.to_owned())
            }
            _ => return Err(wrong_kind("CLOSE", kind).into()),
        });
        Ok(())
    }

    fn has_statement(&self, name: &str, prepared: Prepared<'_>) -> Result<bool, Stop> {
        match self.statements.get(name) {
            Some(here) => Ok(here.is_some()),
            None => prepared.get(name).map(|statement| statement.is_some()),
        }
    }

    /// Finds the statement of a Bind, and how many parameters it has. The number is not known while
    /// the application has not described the statement.
    fn statement(&self, name: &str, prepared: Prepared<'_>) -> Result<(Parsed, Option<usize>), Stop> {
        if let Some(here) = self.statements.get(name) {
            return here.clone().map(|parsed| (parsed, None)).ok_or_else(|| no_statement(name).into());
        }
        let Some(Statement { sql, parameters, .. }) = prepared.get(name)? else {
            return Err(no_statement(name).into());
        };
        let types = parameters.iter().copied().map(Some).collect();
        Ok((Parsed { sql: sql.clone(), types }, Some(parameters.len())))
    }
}

fn push_json(call: &Call<'_>, calls: &mut String) {
    if !calls.is_empty() {
        calls.push(',');
    }
    calls.push_str(&serde_json::to_string(call).expect("a call has only texts and numbers"));
}

/// Reads format codes: 0 is text, 1 is binary.
fn formats(fields: &mut Reader<'_>) -> Result<Vec<bool>, Report> {
    let codes = fields.u16_list()?.into_iter().map(|code| match code {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Report::new(code::PROTOCOL_VIOLATION, format!("unsupported format code: {other}"))),
    });
    codes.collect()
}

/// Whether the value with this index is binary: one format code holds for all values, and without
/// any, all of them are text.
pub(crate) fn is_binary(formats: &[bool], index: usize) -> bool {
    let index = if formats.len() == 1 { 0 } else { index };
    formats.get(index).copied().unwrap_or(false)
}

/// Returns a parameter as text.
fn parameter(index: usize, value: &[u8], is_binary: bool, r#type: Option<Type>) -> Result<String, Report> {
    if !is_binary {
        return message::utf8(value).map(str::to_owned);
    }
    let number = index + 1;
    let Some(r#type) = r#type.filter(|r#type| r#type.has_binary()) else {
        let text = format!("parameter ${number} is binary, and this server cannot read its type");
        return Err(Report::new(code::NOT_SUPPORTED, text).hint("Send the parameter as text."));
    };
    let text = r#type.text_of(value).filter(|text| !text.contains('\0'));
    text.ok_or_else(|| {
        let text = format!("incorrect binary data format in bind parameter {number}");
        Report::new(code::INVALID_BINARY, text)
    })
}

pub(crate) fn no_statement(name: &str) -> Report {
    Report::new(code::NO_STATEMENT, format!("prepared statement {name:?} does not exist"))
}

pub(crate) fn no_portal(name: &str) -> Report {
    Report::new(code::NO_PORTAL, format!("portal {name:?} does not exist"))
}

fn wrong_kind(message: &str, kind: u8) -> Report {
    Report::new(code::PROTOCOL_VIOLATION, format!("invalid {message} message subtype {kind}"))
}
