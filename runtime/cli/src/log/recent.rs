//! Adds lines at level `warn` and above to the recent events that the control API reports.

use std::fmt::Debug;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use wireplug::events::{Events, LogEvent};

use super::ACCESS;

/// A layer of the subscriber. The layer that writes lines must come first, because it formats the
/// fields of spans.
pub(super) struct RecentLines(pub(super) Events);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RecentLines {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        // The end of a connection is an event already.
        if *metadata.level() > Level::WARN || metadata.target() == ACCESS {
            return;
        }
        let mut line = LogEvent {
            is_error: *metadata.level() == Level::ERROR,
            target: metadata.target().to_owned(),
            ..LogEvent::default()
        };
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                let fields: Map<String, Value> = serde_json::from_str(fields).unwrap_or_default();
                line.fields.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        self.0.log(line);
    }
}

/// Puts the fields of a line into an event.
struct Fields<'a>(&'a mut LogEvent);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.0.message = text,
            (name, value) => drop(self.0.fields.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing::{error, info, info_span, subscriber, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn warnings_and_errors_are_added_with_the_fields_of_their_connection() {
        let events = Events::default();
        let lines = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).with_writer(std::io::sink);
        let log = tracing_subscriber::registry().with(lines).with(RecentLines(events.clone()));
        subscriber::with_default(log, || {
            let _connection = info_span!("connection", id = 7, peer = "192.0.2.1:5").entered();
            info!("nobody needs this");
            warn!(target: "wireplug::access", "it is an event already");
            warn!(count = 3, route = %"chat.send", "it is odd");
            error!("it failed");
        });
        let list = events.list(None, None, 9);
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].message.as_deref(), Some("it is odd"));
        let fields = json!({ "id": 7, "peer": "192.0.2.1:5", "count": 3, "route": "chat.send" });
        assert_eq!(Value::Object(list[0].fields.clone()), fields);
        assert_eq!((list[0].level, list[1].level), (Some("warn"), Some("error")));
        assert_eq!(list[0].target.as_deref(), Some(module_path!()));
    }
}
