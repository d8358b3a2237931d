//! Converts bodies from protobuf to JSON.

use std::io::Write as _;

use super::schema::{Field, FieldOption, Kind, Message, Schema};
use super::{MAX_INTEGER, Seen, max_converted};
use crate::json::Reason;
use crate::text;

impl Schema<'_> {
    /// Appends the body `bytes` to `out`, as a JSON object. Fields may be missing, even required
    /// ones: the application checks that.
    ///
    /// # Errors
    ///
    /// Returns the reason if `bytes` is not a body of this schema. What was appended to `out` is
    /// then invalid.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        let end = out.len() + max_converted(bytes.len());
        Decoder { messages: self.messages, out, end }.message(self.root, Input(bytes))
    }
}

struct Decoder<'a> {
    messages: &'a [Message],
    out: &'a mut Vec<u8>,
    /// The largest length of `out` in bytes.
    end: usize,
}

impl<'a> Decoder<'a> {
    /// Recurses at most as deep as the schema is nested.
    fn message(&mut self, index: usize, mut input: Input<'_>) -> Result<(), Reason> {
        let messages = self.messages;
        let message = &messages[index];
        let mut seen = Seen::default();
        // The array that is open in the JSON. Its elements must follow each other.
        let mut array = None;
        self.out.push(b'{');
        while !input.0.is_empty() {
            // The low 3 bits are the wire type, which may be wrong.
            let tag = input.varint()? >> 3;
            let index = message.by_tag(tag).ok_or_else(|| {
                Reason::from(format!("the body has the tag {tag}, which is not in its schema"))
            })?;
            let field = &message.fields[index];
            if array != Some(index) {
                if array.take().is_some() {
                    self.out.push(b']');
                }
                if !seen.insert(index) {
                    return Err(format!("the body has the field `{}` twice", field.name).into());
                }
                self.comma();
                self.out.extend_from_slice(field.key.as_bytes());
                if field.option == FieldOption::Repeated {
                    self.out.push(b'[');
                    array = Some(index);
                }
            }
            self.field(field, &mut input)?;
        }
        if array.is_some() {
            self.out.push(b']');
        }
        self.out.push(b'}');
        Ok(())
    }

    fn field(&mut self, field: &Field, input: &mut Input<'_>) -> Result<(), Reason> {
        match field.option {
            FieldOption::Required | FieldOption::Optional => self.value(field, input),
            FieldOption::Repeated if field.kind.is_number() => {
                // Each element has at least 1 byte, so a count that is too high fails at the end of
                // the body.
                for _ in 0..input.varint()? {
                    self.comma();
                    self.value(field, input)?;
                }
                Ok(())
            }
            FieldOption::Repeated => {
                self.comma();
                self.value(field, input)
            }
        }
    }

    fn value(&mut self, field: &Field, input: &mut Input<'_>) -> Result<(), Reason> {
        match field.kind {
            Kind::Unsigned => {
                let number = input.varint()?;
                self.print(format_args!("{number}"));
            }
            Kind::Signed => {
                let zigzag = input.varint()?;
                let half = (zigzag >> 1) as i64;
                // The lowest bit is the sign, as usual in zigzag.
                let number = if zigzag & 1 == 0 { half } else { -half - 1 };
                self.print(format_args!("{number}"));
            }
            Kind::Float => {
                let number = f32::from_le_bytes(input.array()?);
                self.float(field, number.into(), |out| serde_json::to_writer(out, &number))?;
            }
            Kind::Double => {
                let number = f64::from_le_bytes(input.array()?);
                self.float(field, number, |out| serde_json::to_writer(out, &number))?;
            }
            Kind::Text => {
                let bytes = text::repair(input.prefixed()?);
                let string = str::from_utf8(&bytes)
                    .map_err(|_| Reason::from(format!("the field `{}` is not UTF-8", field.name)))?;
                // JSON has at most 6 bytes for 1 byte. Checked before writing, because a single
                // string may be long.
                let controls = string.bytes().filter(|&byte| byte < 0x20).count();
                if self.out.len() + string.len() + 5 * controls > self.end {
                    return Err(too_long());
                }
                text::quote(string, self.out);
            }
            Kind::Message(index) => self.message(index, Input(input.prefixed()?))?,
        }
        if self.out.len() > self.end {
            return Err(too_long());
        }
        Ok(())
    }

    /// Writes a number as JavaScript prints it. A whole number has no decimal point, so that the
    /// application can read it as an integer.
    fn float(
        &mut self,
        field: &Field,
        number: f64,
        write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), Reason> {
        if !number.is_finite() {
            return Err(
                format!("the field `{}` is no finite number, and JSON knows no other", field.name).into()
            );
        }
        if number.fract() == 0.0 && number.abs() <= MAX_INTEGER as f64 {
            self.print(format_args!("{}", number as i64));
        } else {
            // Writing to memory cannot fail.
            let _ = write(self.out);
        }
        Ok(())
    }

    fn print(&mut self, number: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(number);
    }

    /// Appends a comma, unless the next item is the first of an object or array. No value ends with
    /// an opening bracket.
    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }
}

/// The bytes that are not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Reads a number of 7 bits in each byte, the low bits first. The top bit is set in every byte
    /// but the last.
    fn varint(&mut self) -> Result<u64, Reason> {
        let mut number = 0;
        for (index, &byte) in self.0.iter().enumerate().take(8) {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return if number <= MAX_INTEGER { Ok(number) } else { Err(too_large()) };
            }
        }
        Err(if self.0.len() < 8 { cut() } else { too_large() })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*array)
    }

    /// Reads a length, and that many bytes behind it. Returns the bytes.
    fn prefixed(&mut self) -> Result<&'a [u8], Reason> {
        let length = usize::try_from(self.varint()?).map_err(|_| cut())?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(bytes)
    }
}

fn too_long() -> Reason {
    "the body would become too long as JSON".into()
}

fn cut() -> Reason {
    "the body is cut".into()
}

fn too_large() -> Reason {
    format!("the body has a number greater than {MAX_INTEGER}").into()
}
