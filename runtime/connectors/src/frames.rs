//! Tracks where the frames of a WebSocket client begin and end (RFC 6455, section 5.2).

/// Follows a client's frames, to count them and to know whether a message is incomplete. The
/// library does not report every frame, and what it has read may end in the middle of the next
/// message, or in a ping between two fragments. Bytes that are no valid frame are left to the
/// library to refuse.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The head of the current frame, as far as it has arrived: two bytes, up to eight bytes of
    /// length, and four bytes of mask.
    head: [u8; 14],
    come: usize,
    /// The number of bytes of the current frame's payload that have not arrived yet.
    payload: u64,
    /// Whether a message has begun whose last fragment has not.
    fragmented: bool,
}

impl Frames {
    /// Follows bytes from the client. Returns the number of frames whose heads became complete in
    /// them.
    pub(super) fn receive(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let count = self.payload.min(bytes.len() as u64);
                self.payload -= count;
                bytes = &bytes[count as usize..];
                continue;
            }
            self.head[self.come] = first;
            self.come += 1;
            bytes = rest;
            if self.come >= 2 && self.come == self.head_length() {
                self.begin_payload();
                begun += 1;
            }
        }
        begun
    }

    /// Returns whether a message has begun and is not complete.
    pub(super) fn is_partial(&self) -> bool {
        self.come > 0 || self.payload > 0 || self.fragmented
    }

    /// Returns how many bytes may be read without going beyond the message that has begun: what is
    /// left of a frame's payload, or of a head as far as its length is known. Zero if no message
    /// has begun.
    pub(super) fn rest(&self) -> u64 {
        match self.come {
            _ if !self.is_partial() => 0,
            _ if self.payload > 0 => self.payload,
            0 | 1 => 2 - self.come as u64,
            _ => (self.head_length() - self.come) as u64,
        }
    }

    fn head_length(&self) -> usize {
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.head[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn begin_payload(&mut self) {
        let [first, second, length @ ..] = self.head;
        self.payload = match second & 0x7f {
            126 => u16::from_be_bytes([length[0], length[1]]).into(),
            127 => u64::from_be_bytes(length[..8].try_into().expect("8 bytes")),
            short => short.into(),
        };
        let control = first & 0x08 != 0;
        if !control {
            self.fragmented = first & 0x80 == 0;
        }
        self.come = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1; 4]);
        frame.extend(vec![0xff; length]);
        frame
    }

    #[test]
    fn a_message_is_partial_from_its_first_byte_to_its_last() {
        for length in [0, 1, 125, 126, 300, 70_000] {
            let message = frame(0x82, length);
            let mut frames = Frames::default();
            let mut begun = 0;
            for byte in &message[..message.len() - 1] {
                begun += frames.receive(&[*byte]);
                assert!(frames.is_partial());
            }
            begun += frames.receive(&message[message.len() - 1..]);
            assert!(!frames.is_partial() && begun == 1, "{length}");
            // Two, and the beginning of a third.
            assert_eq!(frames.receive(&[&message[..], &message, &message[..1]].concat()), 2);
            assert!(frames.is_partial());
            assert_eq!(frames.receive(&message[1..]), 1);
            assert!(!frames.is_partial());
        }
    }

    /// A reader that takes no more than `rest` at a time ends with the message, wherever it began
    /// to ask.
    #[test]
    fn the_rest_of_a_message_ends_with_it() {
        let message = [frame(0x02, 300), frame(0x89, 3), frame(0x00, 70_000), frame(0x80, 0)].concat();
        let stream = [&message[..], &frame(0x82, 5)].concat();
        for begun in [1, 2, 3, 7, 8, 9, 307, 308, 309, 316, 317, 320, 70_000, message.len() - 1] {
            let mut frames = Frames::default();
            frames.receive(&stream[..begun]);
            let mut read = begun;
            while frames.rest() > 0 {
                // A socket may have fewer bytes.
                let count = (frames.rest() as usize).min(1000);
                frames.receive(&stream[read..read + count]);
                read += count;
            }
            assert_eq!(read, message.len(), "{begun}");
        }
        assert_eq!(Frames::default().rest(), 0);
    }

    #[test]
    fn a_message_in_fragments_is_partial_until_the_last() {
        let mut frames = Frames::default();
        for first in [0x02, 0x89, 0x00, 0x8a, 0x00] {
            assert_eq!(frames.receive(&frame(first, 5)), 1);
            assert!(frames.is_partial(), "{first:x}");
        }
        assert_eq!(frames.receive(&frame(0x80, 0)), 1);
        assert!(!frames.is_partial());
        // Control frames, and empty fragments, are frames.
        assert_eq!(frames.receive(&frame(0x89, 0).repeat(100)), 100);
        assert!(!frames.is_partial());
        assert_eq!(frames.receive(&[frame(0x02, 0), frame(0x00, 0).repeat(99)].concat()), 100);
    }
}
