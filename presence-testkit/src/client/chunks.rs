//! Takes the chunks of a body apart (RFC 9112 section 7.1): so a proxy sends on what has no length.

use anyhow::{Context, Result, ensure};

/// A parser of chunks that gets its bytes in pieces.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    input: Vec<u8>,
    expected: Expected,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// The line that says how long a chunk is.
    #[default]
    Size,
    /// So many bytes of it.
    Data(usize),
    /// The line's end that follows it.
    End,
    /// Nothing: the last chunk, which is empty, has come.
    Nothing,
}

impl Chunks {
    /// Takes bytes in, and gives those of the body that are there.
    ///
    /// # Errors
    /// If they are no chunks.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.input.extend_from_slice(bytes);
        let mut body = Vec::new();
        loop {
            match self.expected {
                Expected::Size => {
                    let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else { break };
                    let line: Vec<u8> = self.input.drain(..end + 2).collect();
                    let line = String::from_utf8_lossy(&line);
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size =
                        usize::from_str_radix(size, 16).with_context(|| format!("no size: {line:?}"))?;
                    self.expected = if size == 0 { Expected::Nothing } else { Expected::Data(size) };
                }
                Expected::Data(left) => {
                    let here = left.min(self.input.len());
                    body.extend(self.input.drain(..here));
                    self.expected = if here == left { Expected::End } else { Expected::Data(left - here) };
                    if here < left {
                        break;
                    }
                }
                Expected::End => {
                    if self.input.len() < 2 {
                        break;
                    }
                    ensure!(self.input.starts_with(b"\r\n"), "a chunk is longer than it says");
                    self.input.drain(..2);
                    self.expected = Expected::Size;
                }
                Expected::Nothing => break,
            }
        }
        Ok(body)
    }

    /// Whether the body has ended.
    pub(super) fn is_over(&self) -> bool {
        self.expected == Expected::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_it_comes() {
        let wire = b"3\r\nabc\r\n0A;x=y\r\n0123\r\n67\r\n\r\n0\r\n\r\n";
        for size in 1..wire.len() {
            let mut chunks = Chunks::default();
            let pieces = wire.chunks(size).map(|piece| chunks.take(piece).unwrap());
            let body = pieces.collect::<Vec<_>>().concat();
            assert_eq!(String::from_utf8(body).unwrap(), "abc0123\r\n67\r\n", "pieces of {size}");
            assert!(chunks.is_over());
        }
        assert!(Chunks::default().take(b"xyz\r\n").is_err());
        assert!(Chunks::default().take(b"1\r\nab\r\n").is_err());
    }
}
