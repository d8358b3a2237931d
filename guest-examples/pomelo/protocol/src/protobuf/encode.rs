//! From JSON to protobuf.

use super::schema::{Field, FieldOption, Kind, Message, Schema};
use super::{MAX_INTEGER, Seen, room};
use crate::json::{Reader, Reason};

impl Schema<'_> {
    /// Appends the body `json`, an object, to `out`. Members that the schema does not have are left out, and those
    /// that are null count as missing. `complete` asks for all required fields.
    ///
    /// # Errors
    ///
    /// The reason why it has no form in this schema. What was appended to `out` is of no use then.
    pub(crate) fn encode(self, json: &[u8], complete: bool, out: &mut Vec<u8>) -> Result<(), Reason> {
        let end = out.len() + room(json.len());
        let mut reader = Reader::new(json);
        Encoder { messages: self.messages, json: &mut reader, complete, out, end }.message(self.root)?;
        reader.end()
    }

    /// Appends the body that tells of a failure: the code alone, where the schema has a number `code`. Where it has
    /// not, nothing is appended, and a client reads that as an object without any field. No decoder of Pomelo asks
    /// for required fields.
    pub(crate) fn encode_code(self, code: u16, out: &mut Vec<u8>) {
        let message = &self.messages[self.root];
        let field = message.by_name("code").map(|index| &message.fields[index]);
        if let Some(field) = field
            && field.kind.is_number()
            && field.option != FieldOption::Repeated
        {
            out.extend_from_slice(&field.head);
            write_number(field.kind, code.into(), out);
        }
    }
}

struct Encoder<'a, 'json> {
    messages: &'a [Message],
    json: &'a mut Reader<'json>,
    complete: bool,
    out: &'a mut Vec<u8>,
    /// How long `out` may become.
    end: usize,
}

impl Encoder<'_, '_> {
    /// Recurses no deeper than the schema is nested.
    fn message(&mut self, index: usize) -> Result<(), Reason> {
        let messages = self.messages;
        let message = &messages[index];
        let mut seen = Seen::default();
        if !self.json.take(b'{') {
            return Err(self.json.fault("an object"));
        }
        let mut first = true;
        while self.json.item(b'}', &mut first)? {
            let name = self.json.key()?;
            let Some(index) = message.by_name(&name) else {
                self.json.skip()?;
                continue;
            };
            let field = &message.fields[index];
            if self.json.null()? {
                continue;
            }
            if !seen.insert(index) {
                return Err(format!("the body has the field `{name}` twice").into());
            }
            self.field(field)?;
        }
        let missing = |(index, field): &(usize, &Field)| {
            field.option == FieldOption::Required && !seen.contains(*index)
        };
        match message.fields.iter().enumerate().find(missing) {
            Some((_, field)) if self.complete => {
                Err(format!("the body lacks the field `{}`, which is required", field.name).into())
            }
            _ => Ok(()),
        }
    }

    fn field(&mut self, field: &Field) -> Result<(), Reason> {
        if field.option != FieldOption::Repeated {
            self.out.extend_from_slice(&field.head);
            return self.value(field);
        }
        if !self.json.take(b'[') {
            return Err(self.wrong(field, "an array"));
        }
        let (start, packed, mut first) = (self.out.len(), field.kind.is_number(), true);
        if packed {
            self.out.extend_from_slice(&field.head);
        }
        let elements = self.out.len();
        let mut count = 0;
        while self.json.item(b']', &mut first)? {
            if !packed {
                self.out.extend_from_slice(&field.head);
            }
            self.value(field)?;
            count += 1;
        }
        match (packed, count) {
            // An array of nothing is not written.
            (true, 0) => self.out.truncate(start),
            (true, count) => insert_varint(elements, count, self.out),
            (false, _) => {}
        }
        Ok(())
    }

    fn value(&mut self, field: &Field) -> Result<(), Reason> {
        match field.kind {
            Kind::Unsigned | Kind::Signed | Kind::Float | Kind::Double => {
                if !matches!(self.json.peek(), Some(b'-' | b'0'..=b'9')) {
                    return Err(self.wrong(field, "a number"));
                }
                let number = self.json.number()?;
                // All digits count here, and no integer that may be sent loses one.
                let value: f64 = number.parse().unwrap_or(f64::NAN);
                if !fits(field.kind, value) {
                    return Err(format!(
                        "the field `{}` is {number}, which its type cannot hold",
                        field.name
                    )
                    .into());
                }
                write_number(field.kind, value, self.out);
            }
            Kind::Text => {
                if self.json.peek() != Some(b'"') {
                    return Err(self.wrong(field, "a string"));
                }
                let start = self.out.len();
                self.json.string(self.out)?;
                insert_varint(start, self.out.len() - start, self.out);
            }
            Kind::Message(index) => {
                if self.json.peek() != Some(b'{') {
                    return Err(self.wrong(field, "an object"));
                }
                let start = self.out.len();
                self.message(index)?;
                insert_varint(start, self.out.len() - start, self.out);
            }
        }
        if self.out.len() > self.end {
            return Err("the body would become too long as protobuf".into());
        }
        Ok(())
    }

    fn wrong(&mut self, field: &Field, wanted: &str) -> Reason {
        let name = &field.name;
        match self.json.peek() {
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                format!("the field `{name}` is not {wanted}").into()
            }
            _ => self.json.fault("a value"),
        }
    }
}

/// Whether a number is of the type. Fractions are not cut off to make an integer.
fn fits(kind: Kind, number: f64) -> bool {
    let most = MAX_INTEGER as f64;
    match kind {
        Kind::Unsigned => number.fract() == 0.0 && (0.0..=most).contains(&number),
        // Its zigzag takes one bit more.
        Kind::Signed => number.fract() == 0.0 && (-(most + 1.0) / 2.0..=(most - 1.0) / 2.0).contains(&number),
        Kind::Float => (number as f32).is_finite(),
        _ => number.is_finite(),
    }
}

/// Appends a number that [fits](fits).
fn write_number(kind: Kind, number: f64, out: &mut Vec<u8>) {
    match kind {
        Kind::Signed => {
            let number = number as i64;
            write_varint((number << 1 ^ number >> 63) as u64, out);
        }
        Kind::Float => out.extend_from_slice(&(number as f32).to_le_bytes()),
        Kind::Double => out.extend_from_slice(&number.to_le_bytes()),
        Kind::Unsigned | Kind::Text | Kind::Message(_) => write_varint(number as u64, out),
    }
}

pub(super) fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Puts a length or a count, known only now, in front of what was appended from `start` on.
fn insert_varint(start: usize, number: usize, out: &mut Vec<u8>) {
    let end = out.len();
    write_varint(number as u64, out);
    // What it took is brought to the front.
    let length = out.len() - end;
    out[start..].rotate_right(length);
}
