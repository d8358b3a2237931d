//! The fields of a control packet: section 1.5 of the specification.

use wireplug_guest::Fault;

/// The rest of a packet, which is read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        let [byte] = self.take()?;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.take().map(u16::from_be_bytes)
    }

    /// Reads a packet identifier, which is never 0 [MQTT-2.3.1-1].
    pub(crate) fn packet_id(&mut self) -> Result<u16, Fault> {
        match self.u16()? {
            0 => Err(Fault::fatal("a packet identifier is 0")),
            id => Ok(id),
        }
    }

    /// Reads bytes behind their length.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.u16()?.into();
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Reads a text behind its length. A text has no U+0000 [MQTT-1.5.3-1, -2].
    pub(crate) fn text(&mut self) -> Result<&'a str, Fault> {
        match str::from_utf8(self.bytes()?) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(Fault::fatal("a text is not UTF-8 or contains U+0000")),
        }
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        if self.is_empty() { Ok(()) } else { Err(Fault::fatal("a packet has bytes behind its end")) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*bytes)
    }
}

fn cut() -> Fault {
    Fault::fatal("a packet is cut short")
}
