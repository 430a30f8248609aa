//! Counts the frames of a stream of bytes (RFC 6455 section 5.2), which tungstenite does not tell: how many say nothing,
//! in how many pieces a message comes, and whether one is on its way.

/// Bytes of the longest header: two, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// Where in a stream of frames the reader is.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER_BYTES_MAX],
    /// Bytes of the header that are there.
    have: u8,
    /// Bytes of the payload that are still to come.
    payload: u64,
    /// Frames of the message that is on its way.
    pieces: u32,
    /// Whether its last frame has not begun yet.
    open: bool,
}

/// What some bytes had in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Pings, pongs and closes.
    pub(crate) control: u32,
    /// The largest number of pieces that a message has come in so far.
    pub(crate) pieces: u32,
}

impl Frames {
    /// Goes over the next bytes.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header[usize::from(self.have)] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if let Some(len) = self.whole_header() {
                self.have = 0;
                self.payload = len;
                self.count(&mut seen);
            }
        }
        seen
    }

    /// Whether a message has begun and not ended.
    pub(crate) fn is_midway(&self) -> bool {
        self.open || self.payload > 0 || self.have > 0
    }

    /// The length of the payload, once the header says it.
    fn whole_header(&self) -> Option<u64> {
        let have = usize::from(self.have);
        if have < 2 {
            return None;
        }
        let (short, mask) = (self.header[1] & 0x7f, if self.header[1] & 0x80 == 0 { 0 } else { 4 });
        let length_bytes = match short {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        if have < 2 + length_bytes + mask {
            return None;
        }
        let long = self.header[2..2 + length_bytes].iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
        Some(if length_bytes == 0 { u64::from(short) } else { long })
    }

    fn count(&mut self, seen: &mut Seen) {
        let (last, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        if opcode >= 8 {
            seen.control += 1;
            return;
        }
        // A first piece in the middle of a message is an error that tungstenite finds.
        self.pieces = if opcode == 0 { self.pieces.saturating_add(1) } else { 1 };
        self.open = !last;
        seen.pieces = seen.pieces.max(self.pieces);
    }
}

#[cfg(test)]
mod tests {
    use tungstenite::protocol::frame::FrameHeader;
    use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    use super::*;

    fn frame(opcode: OpCode, len: usize, last: bool, out: &mut Vec<u8>) {
        let mask = Some([1, 2, 3, 4]);
        FrameHeader { is_final: last, opcode, mask, ..FrameHeader::default() }
            .format(len as u64, out)
            .unwrap();
        out.extend(std::iter::repeat_n(b'x', len));
    }

    fn ping(out: &mut Vec<u8>) {
        frame(OpCode::Control(Control::Ping), 3, true, out);
    }

    #[test]
    fn frames_of_every_length_are_counted_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            frame(OpCode::Data(Data::Text), len, false, &mut bytes);
            ping(&mut bytes);
            frame(OpCode::Data(Data::Continue), len, false, &mut bytes);
            frame(OpCode::Data(Data::Continue), 0, true, &mut bytes);
        }
        for cut in [1, 2, 7, 1_000, bytes.len()] {
            let mut frames = Frames::default();
            let seen = bytes.chunks(cut).map(|chunk| frames.pass(chunk));
            let (control, pieces) = seen
                .fold((0, 0), |(control, pieces), seen| (control + seen.control, seen.pieces.max(pieces)));
            assert_eq!((control, pieces, frames.is_midway()), (6, 3, false), "cut every {cut} bytes");
        }
    }

    #[test]
    fn a_message_is_midway_from_its_first_byte_to_its_last() {
        let mut bytes = Vec::new();
        frame(OpCode::Data(Data::Text), 200, false, &mut bytes);
        frame(OpCode::Data(Data::Continue), 1, true, &mut bytes);
        let mut frames = Frames::default();
        let midway: Vec<bool> = bytes
            .iter()
            .map(|byte| {
                frames.pass(&[*byte]);
                frames.is_midway()
            })
            .collect();
        assert_eq!(midway.iter().position(|midway| !midway), Some(bytes.len() - 1));
    }
}
