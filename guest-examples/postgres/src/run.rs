//! The steps of a client. They run when the application has answered what it must do for them, and
//! write the messages of the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::application::{Answer, Column, Deallocate, Outcome, Transaction};
use crate::cell::Cell;
use crate::group::{is_binary, no_portal, no_statement};
use crate::report::{Kind, Report, code};
use crate::types::Type;
use crate::writer::{Output, Writer, text};

/// The number of prepared statements of a session. Libraries keep 100 to 256 of them.
pub(crate) const MAX_STATEMENTS: usize = 256;

/// The bytes of all prepared statements of a session, with the names of their columns. The last
/// statement may exceed it by the columns of one response.
pub(crate) const MAX_STATEMENTS_SIZE: usize = 1 << 20;

/// What a client has asked for, and what the codec does when it is its turn.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Step {
    /// A query in the simple protocol, which may have several statements.
    Query,
    Parse {
        name: String,
        sql: String,
        types: Vec<Option<Type>>,
    },
    Bind {
        portal: String,
        statement: String,
        formats: Vec<bool>,
    },
    DescribeStatement(String),
    DescribePortal(String),
    Execute {
        portal: String,
        max_rows: Option<u32>,
    },
    CloseStatement(String),
    ClosePortal(String),
    /// The codec has refused a message.
    Fail(Report),
    /// The server is ready for the next query.
    Sync,
}

/// A prepared statement, as the application has described it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Type>,
    columns: Option<Vec<Column>>,
}

/// The columns of a portal, and the formats that the client wants them in.
#[derive(Debug, Deserialize, Serialize)]
struct Portal {
    columns: Option<Vec<Column>>,
    formats: Vec<bool>,
}

/// What the steps of a session change.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Backend {
    pub(crate) statements: BTreeMap<String, Statement>,
    /// They live until the next Sync.
    portals: BTreeMap<String, Portal>,
    transaction: Transaction,
}

impl Statement {
    /// Checks that a session may have another statement beside these and those that its group has
    /// parsed.
    pub(crate) fn check_room(
        statements: &BTreeMap<String, Self>,
        parsed: usize,
        sql: &str,
    ) -> Result<(), Report> {
        let size: usize = statements.values().map(Self::size).sum();
        if statements.len() + parsed < MAX_STATEMENTS && size + sql.len() <= MAX_STATEMENTS_SIZE {
            return Ok(());
        }
        let text = format!(
            "there are more than {MAX_STATEMENTS} prepared statements, or {MAX_STATEMENTS_SIZE} bytes"
        );
        Err(Report::new(code::LIMIT_EXCEEDED, text))
    }

    fn size(&self) -> usize {
        let columns = self.columns.iter().flatten();
        let columns: usize = columns.map(|column| size_of::<Column>() + column.name.len()).sum();
        self.sql.len() + self.parameters.len() * size_of::<Type>() + columns
    }
}

impl Backend {
    /// Runs steps with the application's answer. Returns whether an error has ended a group whose
    /// Sync is not among the steps.
    pub(crate) fn run<O: Output>(
        &mut self,
        steps: Vec<Step>,
        answer: Answer<'_>,
        out: &mut Writer<'_, O>,
    ) -> bool {
        let Answer { results, mut error, transaction } = answer;
        self.transaction = transaction.unwrap_or(self.transaction);
        let mut results = results.into_iter();
        let mut is_skipping = false;
        for step in steps {
            if is_skipping && !matches!(step, Step::Sync) {
                continue;
            }
            let mut outcome = || {
                let missing = || Report::of_application("the application has not answered this step");
                results.next().ok_or_else(|| error.take().unwrap_or_else(missing))
            };
            let done = match step {
                Step::Query => self.query(&mut results, error.take(), out),
                Step::Parse { name, sql, types } => {
                    outcome().map(|outcome| self.parse(name, sql, &types, outcome, out))
                }
                Step::Bind { portal, statement, formats } => self.bind(portal, &statement, formats, out),
                Step::DescribeStatement(name) => self.describe_statement(&name, out),
                Step::DescribePortal(name) => self.describe_portal(&name, out),
                Step::Execute { portal, max_rows } => {
                    outcome().and_then(|outcome| self.execute(&portal, max_rows, outcome, out))
                }
                Step::CloseStatement(name) => {
                    self.statements.remove(&name);
                    out.short(b'3', b"");
                    Ok(())
                }
                Step::ClosePortal(name) => {
                    self.portals.remove(&name);
                    out.short(b'3', b"");
                    Ok(())
                }
                Step::Fail(report) => Err(report),
                Step::Sync => {
                    is_skipping = false;
                    self.portals.clear();
                    self.ready(out);
                    Ok(())
                }
            };
            if let Err(report) = done {
                out.report(Kind::Error, &report);
                is_skipping = true;
            }
        }
        is_skipping
    }

    /// Writes ReadyForQuery.
    pub(crate) fn ready<O: Output>(&self, out: &mut Writer<'_, O>) {
        out.short(b'Z', &[self.transaction.letter()]);
    }

    fn query<'a, O: Output>(
        &mut self,
        results: &mut impl ExactSizeIterator<Item = Outcome<'a>>,
        error: Option<Report>,
        out: &mut Writer<'_, O>,
    ) -> Result<(), Report> {
        // A query removes the unnamed statement.
        self.statements.remove("");
        if results.len() == 0 && error.is_none() {
            out.short(b'I', b"");
        }
        for mut outcome in results {
            if let Some(columns) = &outcome.columns {
                describe(columns, &[], out)?;
            }
            let columns = outcome.columns.take();
            self.outcome(outcome, columns.as_deref(), &[], None, out)?;
        }
        error.map_or(Ok(()), Err)
    }

    fn parse<O: Output>(
        &mut self,
        name: String,
        sql: String,
        types: &[Option<Type>],
        outcome: Outcome<'_>,
        out: &mut Writer<'_, O>,
    ) {
        // A type that the client has declared is never changed: the client writes its binary
        // values in this type.
        let described = outcome.parameters.unwrap_or_default();
        let parameters = (0..described.len().max(types.len())).map(|index| {
            let declared = types.get(index).copied().flatten();
            declared.or(described.get(index).copied()).unwrap_or(Type::TEXT)
        });
        let parameters = parameters.collect();
        self.statements.insert(name, Statement { sql, parameters, columns: outcome.columns });
        out.short(b'1', b"");
    }

    fn bind<O: Output>(
        &mut self,
        name: String,
        statement: &str,
        formats: Vec<bool>,
        out: &mut Writer<'_, O>,
    ) -> Result<(), Report> {
        let Some(Statement { columns, .. }) = self.statements.get(statement) else {
            return Err(no_statement(statement));
        };
        let count = columns.as_ref().map_or(0, Vec::len);
        if formats.len() > 1 && formats.len() != count {
            let text =
                format!("bind message has {} result formats but query has {count} columns", formats.len());
            return Err(Report::new(code::PROTOCOL_VIOLATION, text));
        }
        self.portals.insert(name, Portal { columns: columns.clone(), formats });
        out.short(b'2', b"");
        Ok(())
    }

    fn describe_statement<O: Output>(&self, name: &str, out: &mut Writer<'_, O>) -> Result<(), Report> {
        let Some(Statement { parameters, columns, .. }) = self.statements.get(name) else {
            return Err(no_statement(name));
        };
        out.message(b't', |fields| {
            fields.extend(count(parameters.len())?.to_be_bytes());
            fields.extend(parameters.iter().flat_map(|Type(oid)| oid.to_be_bytes()));
            Ok(())
        })?;
        describe_or_no_data(columns.as_deref(), &[], out)
    }

    fn describe_portal<O: Output>(&self, name: &str, out: &mut Writer<'_, O>) -> Result<(), Report> {
        let Some(Portal { columns, formats }) = self.portals.get(name) else { return Err(no_portal(name)) };
        describe_or_no_data(columns.as_deref(), formats, out)
    }

    fn execute<O: Output>(
        &mut self,
        name: &str,
        max_rows: Option<u32>,
        outcome: Outcome<'_>,
        out: &mut Writer<'_, O>,
    ) -> Result<(), Report> {
        let Some(Portal { columns, formats }) = self.portals.remove(name) else {
            return Err(no_portal(name));
        };
        let done = self.outcome(outcome, columns.as_deref(), &formats, max_rows, out);
        self.portals.insert(name.to_owned(), Portal { columns, formats });
        done
    }

    /// Writes the rows and the end of a command.
    fn outcome<O: Output>(
        &mut self,
        outcome: Outcome<'_>,
        columns: Option<&[Column]>,
        formats: &[bool],
        max_rows: Option<u32>,
        out: &mut Writer<'_, O>,
    ) -> Result<(), Report> {
        let Outcome { rows, command, deallocate, .. } = outcome;
        let max = max_rows.map_or(usize::MAX, |max| max as usize);
        let count = rows.len().min(max);
        for row in rows.iter().take(max) {
            write_row(row, columns.unwrap_or_default(), formats, out)?;
        }
        match deallocate {
            Some(Deallocate::All) => self.statements.clear(),
            Some(Deallocate::Name(name)) => drop(self.statements.remove(&name)),
            None => {}
        }
        match (columns, command) {
            // There may be more rows: nobody has looked.
            (Some(_), _) if count == max => out.short(b's', b""),
            (_, Some(command)) => complete(&command, out)?,
            (Some(_), None) => complete(&format!("SELECT {count}"), out)?,
            (None, None) => out.short(b'I', b""),
        }
        Ok(())
    }
}

/// Writes CommandComplete.
fn complete<O: Output>(command: &str, out: &mut Writer<'_, O>) -> Result<(), Report> {
    out.message(b'C', |fields| {
        text(command, fields);
        Ok(())
    })
}

fn describe_or_no_data<O: Output>(
    columns: Option<&[Column]>,
    formats: &[bool],
    out: &mut Writer<'_, O>,
) -> Result<(), Report> {
    match columns {
        Some(columns) => describe(columns, formats, out),
        None => {
            out.short(b'n', b"");
            Ok(())
        }
    }
}

/// Writes RowDescription.
fn describe<O: Output>(columns: &[Column], formats: &[bool], out: &mut Writer<'_, O>) -> Result<(), Report> {
    out.message(b'T', |fields| {
        fields.extend(count(columns.len())?.to_be_bytes());
        for (index, Column { name, r#type }) in columns.iter().enumerate() {
            text(name, fields);
            // No column of a table: its OID and its number are 0.
            fields.extend([0; 6]);
            fields.extend(r#type.0.to_be_bytes());
            fields.extend(r#type.size().to_be_bytes());
            // The type has no modifier.
            fields.extend((-1_i32).to_be_bytes());
            fields.extend(u16::from(is_binary(formats, index)).to_be_bytes());
        }
        Ok(())
    })
}

/// Writes DataRow.
fn write_row<O: Output>(
    row: &[Cell<'_>],
    columns: &[Column],
    formats: &[bool],
    out: &mut Writer<'_, O>,
) -> Result<(), Report> {
    if row.len() != columns.len() {
        let text = format!("the application's row has {} values for {} columns", row.len(), columns.len());
        return Err(Report::of_application(text));
    }
    out.message(b'D', |fields| {
        fields.extend(count(row.len())?.to_be_bytes());
        for (index, (cell, column)) in row.iter().zip(columns).enumerate() {
            write_value(cell, column, is_binary(formats, index), fields)?;
        }
        Ok(())
    })
}

/// Writes a value behind its length.
fn write_value(cell: &Cell<'_>, column: &Column, is_binary: bool, out: &mut Vec<u8>) -> Result<(), Report> {
    let Cell(Some(text)) = cell else {
        out.extend((-1_i32).to_be_bytes());
        return Ok(());
    };
    let Column { name, r#type } = column;
    if text.contains('\0') {
        let text = format!("a value of column {name:?} contains U+0000, which no text can have");
        return Err(Report::new(code::INVALID_ENCODING, text));
    }
    if !is_binary {
        out.extend((text.len() as u32).to_be_bytes());
        out.extend(text.as_bytes());
        return Ok(());
    }
    if !r#type.has_binary() {
        let text = format!("column {name:?} has no binary format here: its type is {type}");
        return Err(Report::new(code::NOT_SUPPORTED, text).hint("Ask for the column as text."));
    }
    let start = out.len();
    out.extend([0; 4]);
    if r#type.write_binary(text, out).is_none() {
        return Err(Report::of_application(format!("a value of column {name:?} is not of type {type}")));
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Returns the number of columns or parameters as it is sent.
fn count(length: usize) -> Result<u16, Report> {
    u16::try_from(length).map_err(|_| {
        Report::new(code::TOO_MANY_COLUMNS, format!("{length} columns or parameters are more than 65535"))
    })
}
