//! Frames, valid and invalid.

/// The mask of all frames. No byte is zero, so it changes every byte of the payload.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Encodes a client's frame. `first` is the first byte: FIN, the reserved bits and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Returns the frame that echoes a text message.
    pub fn text(payload: &[u8]) -> Self {
        Self { first: 0x81, payload: payload.to_vec() }
    }

    /// Returns the frame that echoes a binary message.
    pub fn binary(payload: &[u8]) -> Self {
        Self { first: 0x82, payload: payload.to_vec() }
    }

    pub fn pong(payload: &[u8]) -> Self {
        Self { first: 0x8a, payload: payload.to_vec() }
    }

    pub fn close(code: u16, reason: &str) -> Self {
        Self { first: 0x88, payload: [&code.to_be_bytes(), reason.as_bytes()].concat() }
    }

    /// Parses the first frame of the bytes that were read. Returns it with its length, if it is
    /// complete. A server does not mask frames.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let &[first, second, ref rest @ ..] = bytes else { return None };
        let (head, length) = match second {
            126 => (4, u16::from_be_bytes(rest.get(..2)?.try_into().ok()?).into()),
            127 => (10, u64::from_be_bytes(rest.get(..8)?.try_into().ok()?) as usize),
            short => (2, usize::from(short)),
        };
        assert!(second < 0x80, "a server's frames are not masked");
        let payload = bytes.get(head..head + length)?.to_vec();
        Some((Self { first, payload }, head + length))
    }

    pub fn code(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.payload.get(..2)?.try_into().ok()?))
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.payload[..self.payload.len().min(40)];
        write!(f, "{:#04x} {} {:?}", self.first, self.payload.len(), String::from_utf8_lossy(shown))
    }
}
