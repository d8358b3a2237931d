//! Errors and notices: the fields of ErrorResponse and NoticeResponse.

use serde::{Deserialize, Serialize};

/// The SQLSTATE codes of the codec's own errors.
pub(crate) mod code {
    pub(crate) const SUCCESS: &str = "00000";
    pub(crate) const PROTOCOL_VIOLATION: &str = "08P01";
    pub(crate) const NOT_SUPPORTED: &str = "0A000";
    pub(crate) const INVALID_ENCODING: &str = "22021";
    pub(crate) const INVALID_PARAMETER: &str = "22023";
    pub(crate) const INVALID_BINARY: &str = "22P03";
    pub(crate) const NO_STATEMENT: &str = "26000";
    pub(crate) const INVALID_AUTHORIZATION: &str = "28000";
    pub(crate) const INVALID_PASSWORD: &str = "28P01";
    pub(crate) const NO_PORTAL: &str = "34000";
    pub(crate) const NO_DATABASE: &str = "3D000";
    pub(crate) const NAME_TOO_LONG: &str = "42622";
    pub(crate) const DUPLICATE_PORTAL: &str = "42P03";
    pub(crate) const DUPLICATE_STATEMENT: &str = "42P05";
    pub(crate) const LIMIT_EXCEEDED: &str = "54000";
    pub(crate) const TOO_MANY_COLUMNS: &str = "54011";
    pub(crate) const PORTAL_NOT_READY: &str = "55000";
    pub(crate) const ADMIN_SHUTDOWN: &str = "57P01";
    pub(crate) const CANNOT_CONNECT_NOW: &str = "57P03";
    pub(crate) const INTERNAL_ERROR: &str = "XX000";
}

/// The longest text of a message, in bytes. With all other fields a report has less than 20 KiB, so
/// it always fits into a packet.
const MAX_MESSAGE: usize = 8 << 10;

/// The longest text of each other field, in bytes.
const MAX_FIELD: usize = 1 << 10;

/// An error or a notice. It is boxed, because most results have none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Report(Box<Fields>);

/// The fields of a report. The application writes them with the same names in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// `ERROR` or `NOTICE` unless it is set.
    severity: Option<String>,
    /// The SQLSTATE.
    code: Option<String>,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// Where in the query the error is, in characters from 1.
    position: Option<u32>,
    r#where: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    #[serde(rename = "type")]
    type_name: Option<String>,
    constraint: Option<String>,
}

/// Whether a report ends a query, or only informs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Notice,
}

impl Report {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        let fields = Fields { code: Some(code.to_owned()), message: message.into(), ..Fields::default() };
        Self(Box::new(fields))
    }

    /// Returns the report of a mistake in the application.
    pub(crate) fn of_application(message: impl Into<String>) -> Self {
        Self::new(code::INTERNAL_ERROR, message)
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn detail(mut self, detail: &str) -> Self {
        self.0.detail = Some(detail.to_owned());
        self
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.0.hint = Some(hint.to_owned());
        self
    }

    /// Makes the report end the connection.
    pub(crate) fn fatal(mut self) -> Self {
        self.0.severity = Some("FATAL".to_owned());
        self
    }

    /// Appends the fields: each has a letter, a text and a zero byte.
    pub(crate) fn write(&self, kind: Kind, out: &mut Vec<u8>) {
        let (severity, code) = match kind {
            Kind::Error => ("ERROR", code::INTERNAL_ERROR),
            Kind::Notice => ("NOTICE", code::SUCCESS),
        };
        let report = &*self.0;
        let severity = report.severity.as_deref().unwrap_or(severity);
        let position = report.position.map(|position| position.to_string());
        let fields = [
            (b'S', Some(severity)),
            // The severity again, which the server never translates.
            (b'V', Some(severity)),
            (b'C', Some(report.code.as_deref().unwrap_or(code))),
            (b'M', Some(&*report.message)),
            (b'D', report.detail.as_deref()),
            (b'H', report.hint.as_deref()),
            (b'P', position.as_deref()),
            (b'W', report.r#where.as_deref()),
            (b's', report.schema.as_deref()),
            (b't', report.table.as_deref()),
            (b'c', report.column.as_deref()),
            (b'd', report.type_name.as_deref()),
            (b'n', report.constraint.as_deref()),
        ];
        for (letter, text) in fields {
            let Some(text) = text else { continue };
            out.push(letter);
            let max = if letter == b'M' { MAX_MESSAGE } else { MAX_FIELD };
            crate::writer::text(&text[..text.floor_char_boundary(max)], out);
        }
        out.push(0);
    }
}
