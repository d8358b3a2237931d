//! Writes the messages of the server.

use wireplug_guest::{Events, Packets};

use crate::report::{Kind, Report, code};

/// Takes finished messages.
pub(crate) trait Output {
    fn push(&mut self, message: &[u8]);
}

impl Output for Events {
    fn push(&mut self, message: &[u8]) {
        self.reply(message);
    }
}

impl Output for Packets<'_> {
    fn push(&mut self, message: &[u8]) {
        Packets::push(self, message);
    }
}

/// Writes messages to an output.
#[derive(Debug)]
pub(crate) struct Writer<'a, O> {
    output: &'a mut O,
    /// The longest message, in bytes. A longer one would end the connection.
    max: usize,
    /// The message that is being written.
    message: Vec<u8>,
}

impl<'a, O: Output> Writer<'a, O> {
    pub(crate) fn new(output: &'a mut O, max: usize) -> Self {
        Self { output, max, message: Vec::new() }
    }

    /// Writes a message of this type with the fields that `write` appends.
    ///
    /// # Errors
    /// Returns an error if `write` does, or if the message is too long. Nothing is written then.
    pub(crate) fn message(
        &mut self,
        kind: u8,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Report>,
    ) -> Result<(), Report> {
        let message = &mut self.message;
        message.clear();
        message.extend([kind, 0, 0, 0, 0]);
        write(message)?;
        if message.len() > self.max {
            let text =
                format!("the answer has a message of {} bytes, and {} are allowed", message.len(), self.max);
            return Err(Report::new(code::LIMIT_EXCEEDED, text));
        }
        // The length counts itself, and not the type.
        let length = message.len() as u32 - 1;
        message[1..5].copy_from_slice(&length.to_be_bytes());
        self.output.push(message);
        Ok(())
    }

    /// Writes a message of this type that is known to be short.
    pub(crate) fn short(&mut self, kind: u8, fields: &[u8]) {
        self.message.clear();
        self.message.push(kind);
        self.message.extend((fields.len() as u32 + 4).to_be_bytes());
        self.message.extend(fields);
        self.output.push(&self.message);
    }

    pub(crate) fn report(&mut self, kind: Kind, report: &Report) {
        let mut fields = Vec::new();
        report.write(kind, &mut fields);
        self.short(if kind == Kind::Error { b'E' } else { b'N' }, &fields);
    }
}

/// Appends a text and its zero byte. A zero byte within the text would end it early, so U+FFFD
/// takes its place.
pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
    for (index, part) in text.split('\0').enumerate() {
        if index > 0 {
            out.extend("\u{fffd}".as_bytes());
        }
        out.extend(part.as_bytes());
    }
    out.push(0);
}
