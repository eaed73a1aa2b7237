//! Bytes to text, where a character may be cut by the end of a piece.

/// Decodes a stream of pieces. Invalid bytes become U+FFFD.
#[derive(Debug, Clone, Default)]
pub(crate) struct Utf8Stream {
    /// The beginning of a character, at most three bytes.
    carry: Vec<u8>,
}

impl Utf8Stream {
    /// The text that is complete after `piece`.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        let joined;
        let bytes = if self.carry.is_empty() {
            piece
        } else {
            joined = [std::mem::take(&mut self.carry).as_slice(), piece].concat();
            &joined
        };
        let mut out = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out.push_str(chunk.valid());
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && may_continue(chunk.invalid()) {
                self.carry = chunk.invalid().to_vec();
            } else {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        out
    }
    /// What is left at the end of the stream.
    pub(crate) fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.carry).is_empty() { "" } else { "\u{fffd}" }
    }
}

/// Whether more bytes could make a character of these (RFC 3629 §4).
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}
