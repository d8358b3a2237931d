//! Converts bodies from JSON to protobuf.

use super::schema::{Field, FieldOption, Kind, Message, Schema};
use super::{MAX_INTEGER, Seen, max_converted};
use crate::json::{Reader, Reason};

impl Schema<'_> {
    /// Appends the body `json`, an object, to `out`. Leaves out members that are not in the schema,
    /// and treats null as missing. If `complete` is true, all required fields must be there.
    ///
    /// # Errors
    ///
    /// Returns the reason if the schema cannot hold the body. What was appended to `out` is then
    /// invalid.
    pub(crate) fn encode(self, json: &[u8], complete: bool, out: &mut Vec<u8>) -> Result<(), Reason> {
        let end = out.len() + max_converted(json.len());
        let mut reader = Reader::new(json);
        Encoder { messages: self.messages, json: &mut reader, complete, out, end }.message(self.root)?;
        reader.end()
    }

    /// Appends the body of a failure: only the code, if the schema has a number `code`. Otherwise
    /// appends nothing, which a client reads as an object without members. Pomelo's decoders do not
    /// check that required fields are there.
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
    /// The largest length of `out` in bytes.
    end: usize,
}

impl Encoder<'_, '_> {
    /// Recurses at most as deep as the schema is nested.
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
            // An empty array is left out.
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
                // A double holds every integer that may be sent.
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

/// Returns whether the type can hold a number. An integer type does not hold fractions.
fn fits(kind: Kind, number: f64) -> bool {
    let most = MAX_INTEGER as f64;
    match kind {
        Kind::Unsigned => number.fract() == 0.0 && (0.0..=most).contains(&number),
        // Zigzag needs one bit more.
        Kind::Signed => number.fract() == 0.0 && (-(most + 1.0) / 2.0..=(most - 1.0) / 2.0).contains(&number),
        Kind::Float => (number as f32).is_finite(),
        _ => number.is_finite(),
    }
}

/// Appends a number that the type can hold.
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

/// Inserts a length or a count at `start`, before the bytes that it counts.
fn insert_varint(start: usize, number: usize, out: &mut Vec<u8>) {
    let end = out.len();
    write_varint(number as u64, out);
    // Moves the number from the end to `start`.
    let length = out.len() - end;
    out[start..].rotate_right(length);
}
