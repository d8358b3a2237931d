//! The format of log lines, which a reload may change while connections are open.
//!
//! The fields of a connection are formatted once, when it opens. They are kept as JSON, and a line
//! of text is made of that.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields as _, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes each line as text or as JSON.
pub(super) struct LineFormat {
    json: Format<Json>,
    is_json: Arc<AtomicBool>,
}

impl LineFormat {
    /// Creates a format that is text while `is_json` is false.
    pub(super) fn new(is_json: Arc<AtomicBool>) -> Self {
        // The connection's span has all fields, so a list of spans would only repeat them.
        let json = tracing_subscriber::fmt::format().json().flatten_event(true).with_span_list(false);
        Self { json, is_json }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for LineFormat {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.is_json.load(Ordering::Relaxed) {
            return self.json.format_event(context, writer, event);
        }
        let style = Style { is_wanted: writer.has_ansi_escapes() };
        let metadata = event.metadata();
        style.begin(&mut writer, DIM)?;
        SystemTime.format_time(&mut writer)?;
        style.end(&mut writer)?;
        style.begin(&mut writer, colour(*metadata.level()))?;
        write!(writer, " {:>5}", metadata.level())?;
        style.end(&mut writer)?;
        writer.write_char(' ')?;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            style.begin(&mut writer, BOLD)?;
            writer.write_str(span.name())?;
            style.end(&mut writer)?;
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                write_fields(&mut writer, fields)?;
            }
            writer.write_str(": ")?;
        }
        style.begin(&mut writer, DIM)?;
        write!(writer, "{}:", metadata.target())?;
        style.end(&mut writer)?;
        writer.write_char(' ')?;
        DefaultFields::new().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Writes the fields of a span as `{name=value other="a value"}`.
fn write_fields(writer: &mut Writer<'_>, json: &str) -> fmt::Result {
    let fields: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    for (at, (name, value)) in fields.iter().enumerate() {
        write!(writer, "{}{name}=", if at == 0 { '{' } else { ' ' })?;
        match value {
            Value::String(text) if text.chars().all(|char| char.is_ascii_graphic() && char != '"') => {
                writer.write_str(text)?;
            }
            Value::String(text) => write!(writer, "{text:?}")?,
            value => write!(writer, "{value}")?,
        }
    }
    if fields.is_empty() { Ok(()) } else { writer.write_char('}') }
}

const BOLD: &str = "1";
const DIM: &str = "2";

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    }
}

/// Escape sequences of terminals, if they are wanted.
struct Style {
    is_wanted: bool,
}

impl Style {
    fn begin(&self, writer: &mut Writer<'_>, code: &str) -> fmt::Result {
        if self.is_wanted { write!(writer, "\x1b[{code}m") } else { Ok(()) }
    }

    fn end(&self, writer: &mut Writer<'_>) -> fmt::Result {
        self.begin(writer, "0")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use tracing::subscriber::with_default;
    use tracing::{info, info_span, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    #[test]
    fn a_connection_is_logged_in_both_formats() {
        let (written, is_json) = (Written::default(), Arc::new(AtomicBool::new(false)));
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(LineFormat::new(Arc::clone(&is_json)))
            .with_writer(move || writer.clone())
            .finish();
        with_default(log, || {
            let peer = "10.0.0.1:5";
            let connection = info_span!("connection", id = 7, peer, why = "a \"b\"\u{1b}", client = "");
            let _entered = connection.enter();
            info!(target: "here", cause = "closed", "it ended");
            let text = written.take();
            let (_, text) = text.split_once(' ').unwrap();
            let fields = r#"{client= id=7 peer=10.0.0.1:5 why="a \"b\"\u{1b}"}"#;
            assert_eq!(text, format!(" INFO connection{fields}: here: it ended cause=\"closed\"\n"));
            is_json.store(true, Ordering::Relaxed);
            warn!(target: "here", cause = "closed", "it ended");
            let json: Value = serde_json::from_str(&written.take()).unwrap();
            assert_eq!((&json["message"], &json["level"]), (&"it ended".into(), &"WARN".into()));
            assert_eq!((&json["span"]["id"], &json["span"]["peer"]), (&7.into(), &peer.into()));
        });
        assert_eq!(written.take(), "");
    }
}
