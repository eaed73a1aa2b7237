//! What a recording says: its header, its events and its end, and how they are written.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Damage, RecordError, Signer, check_signature};

/// Largest non-stream event.
const MAX_EVENT: usize = 256 * 1024;
/// Largest screen that is kept as a keyframe.
pub(crate) const MAX_KEYFRAME: usize = 384 * 1024;
/// Longest command text in a recording; the command log has its own limit.
const MAX_COMMAND: usize = 64 * 1024;

/// Whose session it is. Written first, readable without anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Header {
    /// Session id; also the name of the file.
    pub session: Uuid,
    /// Organization id.
    pub org: String,
    /// `Name(username)`.
    pub user: String,
    /// `name(address)`.
    pub asset: String,
    /// `name(username)`.
    pub account: String,
    /// `ssh`, …
    pub protocol: String,
    /// `normal`, `command`, …
    pub kind: String,
    /// Client address.
    pub remote_addr: String,
    /// Start, microseconds since the Unix epoch. All event times count from here.
    pub started_at: i64,
    /// Columns at start; 0 without a terminal.
    pub cols: u16,
    /// Rows at start; 0 without a terminal.
    pub rows: u16,
    /// `TERM`; empty without a terminal.
    pub term: String,
    /// Node that records.
    pub node_id: String,
    /// For lists and players, for example the command of an exec session.
    pub title: String,
    /// Hex public key that will sign the head; set by the spool.
    pub key: String,
}

/// One thing that happened. Times are given beside it, in microseconds since the start.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Bytes the target sent to the person.
    Output(Bytes),
    /// The same on the error stream.
    Stderr(Bytes),
    /// Bytes the person sent, secrets masked by the caller.
    Input(Bytes),
    /// The window changed.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Terminal bytes that draw the whole screen as it is now on an empty screen of the current size.
    Keyframe(Vec<u8>),
    /// A command was recognised.
    Command {
        /// Id of its row in the command log.
        id: Uuid,
        /// Its text.
        text: String,
        /// When Enter was pressed, microseconds since the start.
        entered_us: u64,
    },
    /// Anything else worth seeing in the time line: file transfers, refusals, warnings. Never secrets.
    Note {
        /// `file.upload`, `refused`, `warning`, …
        kind: String,
        /// Details.
        data: Value,
    },
    /// The shell or command ended.
    Exit {
        /// Exit code, if it ended by itself.
        code: Option<i64>,
        /// Signal name without `SIG`, if it was ended.
        signal: Option<String>,
    },
    /// Somebody began to watch or to take part.
    Join {
        /// `Name(username)`.
        user: String,
    },
    /// Somebody stopped.
    Leave {
        /// `Name(username)`.
        user: String,
    },
    /// An event of a newer version.
    Unknown {
        /// Its tag.
        tag: u8,
        /// Its body.
        body: Bytes,
    },
}

/// How a session ended, as the closer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct EndSummary {
    /// `client`, `target`, `idle`, `interrupted`, …
    pub reason: String,
    /// Exit code, if any.
    pub exit_code: Option<i64>,
    /// Bytes from the person to the target.
    pub bytes_in: u64,
    /// Bytes from the target to the person.
    pub bytes_out: u64,
    /// Recognised commands.
    pub commands: u64,
    /// Bytes of an unfinished segment that recovery set aside; 0 for an orderly end.
    pub torn_bytes: u64,
}

/// The signed head of a recording. Stored as two lines of JSON: this, then key and signature over the first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Session id, again.
    pub session: Uuid,
    /// How it ended.
    pub summary: EndSummary,
    /// Segments before this one, the header included.
    pub segments: u64,
    /// Time of the last event.
    pub duration_us: u64,
    /// Hex hash of the segment before.
    pub previous: String,
    /// Hex Ed25519 public key.
    #[serde(skip)]
    pub key: String,
    /// Whether the signature is that key's.
    #[serde(skip)]
    pub signature_ok: bool,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    key: String,
    signature: String,
}

const HEAD_DOMAIN: &[u8] = b"rampart-recording-v1\n";

impl End {
    /// Signs and writes it.
    pub(crate) fn encode(&self, signer: &dyn Signer) -> Vec<u8> {
        let mut out = serde_json::to_vec(self).unwrap_or_default();
        let signature = signer.sign(&[HEAD_DOMAIN, &out].concat());
        let line = Signature { key: signer.public_key().to_owned(), signature };
        out.push(b'\n');
        out.extend(serde_json::to_vec(&line).unwrap_or_default());
        out
    }
    /// Reads it and checks its signature.
    pub(crate) fn decode(content: &[u8]) -> Option<Self> {
        let cut = content.iter().position(|b| *b == b'\n')?;
        let (body, line) = (content.get(..cut)?, content.get(cut + 1..)?);
        let mut end: Self = serde_json::from_slice(body).ok()?;
        let signed: Signature = serde_json::from_slice(line).ok()?;
        end.signature_ok = check_signature(&signed.key, &[HEAD_DOMAIN, body].concat(), &signed.signature);
        end.key = signed.key;
        Some(end)
    }
}

/// A closed recording: what the session row and the audit entry keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Path relative to the recordings directory.
    pub path: String,
    /// Hex hash of the last segment.
    pub hash: String,
    /// Bytes of the file.
    pub size: u64,
    /// Time of the last event.
    pub duration_us: u64,
    /// Segments, header and head included.
    pub segments: u64,
}

pub(crate) mod tag {
    pub(crate) const OUTPUT: u8 = 1;
    pub(crate) const STDERR: u8 = 2;
    pub(crate) const INPUT: u8 = 3;
    pub(crate) const RESIZE: u8 = 4;
    pub(crate) const KEYFRAME: u8 = 5;
    pub(crate) const COMMAND: u8 = 6;
    pub(crate) const NOTE: u8 = 7;
    pub(crate) const EXIT: u8 = 8;
    pub(crate) const JOIN: u8 = 9;
    pub(crate) const LEAVE: u8 = 10;
}

impl Event {
    /// Tag and body. Bodies of streams are the bytes themselves; sizes are two little-endian u16; the rest is JSON.
    pub(crate) fn encode(self) -> Result<(u8, Bytes), RecordError> {
        let (tag, body) = match self {
            Event::Output(b) => return Ok((tag::OUTPUT, b)),
            Event::Stderr(b) => return Ok((tag::STDERR, b)),
            Event::Input(b) => return Ok((tag::INPUT, b)),
            Event::Keyframe(v) => return Ok((tag::KEYFRAME, v.into())),
            Event::Unknown { tag, body } => return Ok((tag, body)),
            Event::Resize { cols, rows } => {
                let mut b = BytesMut::with_capacity(4);
                b.put_u16_le(cols);
                b.put_u16_le(rows);
                return Ok((tag::RESIZE, b.freeze()));
            }
            Event::Command { id, mut text, entered_us } => {
                if text.len() > MAX_COMMAND {
                    text.truncate(text.floor_char_boundary(MAX_COMMAND));
                }
                (tag::COMMAND, json!({"id": id, "text": text, "entered_us": entered_us}))
            }
            Event::Note { kind, data } => (tag::NOTE, json!({"kind": kind, "data": data})),
            Event::Exit { code, signal } => (tag::EXIT, json!({"code": code, "signal": signal})),
            Event::Join { user } => (tag::JOIN, json!({"user": user})),
            Event::Leave { user } => (tag::LEAVE, json!({"user": user})),
        };
        let body = serde_json::to_vec(&body).map_err(|_| RecordError::TooLarge(0))?;
        if body.len() > MAX_EVENT {
            return Err(RecordError::TooLarge(body.len()));
        }
        Ok((tag, body.into()))
    }

    fn decode(tag: u8, body: Bytes) -> Result<Self, Damage> {
        let text = |v: &Value, k: &str| v.get(k).and_then(Value::as_str).map(str::to_owned);
        let parse = |b: &Bytes| serde_json::from_slice::<Value>(b).map_err(|_| Damage::Undecodable);
        Ok(match tag {
            tag::OUTPUT => Event::Output(body),
            tag::STDERR => Event::Stderr(body),
            tag::INPUT => Event::Input(body),
            tag::KEYFRAME => Event::Keyframe(body.into()),
            tag::RESIZE => match *body {
                [a, b, c, d] => Event::Resize { cols: u16::from_le_bytes([a, b]), rows: u16::from_le_bytes([c, d]) },
                _ => return Err(Damage::Undecodable),
            },
            tag::COMMAND => {
                let v = parse(&body)?;
                let id = text(&v, "id").and_then(|s| s.parse().ok()).ok_or(Damage::Undecodable)?;
                let entered_us = v.get("entered_us").and_then(Value::as_u64).unwrap_or(0);
                Event::Command { id, text: text(&v, "text").unwrap_or_default(), entered_us }
            }
            tag::NOTE => {
                let mut v = parse(&body)?;
                let kind = text(&v, "kind").unwrap_or_default();
                Event::Note { kind, data: v.get_mut("data").map(Value::take).unwrap_or_default() }
            }
            tag::EXIT => {
                let v = parse(&body)?;
                Event::Exit { code: v.get("code").and_then(Value::as_i64), signal: text(&v, "signal") }
            }
            tag::JOIN => Event::Join { user: text(&parse(&body)?, "user").unwrap_or_default() },
            tag::LEAVE => Event::Leave { user: text(&parse(&body)?, "user").unwrap_or_default() },
            tag => Event::Unknown { tag, body },
        })
    }
}

/// Writes what stands before the body of an event: tag, microseconds since the event before, length.
pub(crate) fn put_prefix(out: &mut BytesMut, tag: u8, delta_us: u64, len: usize) {
    out.put_u8(tag);
    put_varint(out, delta_us);
    put_varint(out, len as u64);
}

fn put_varint(out: &mut BytesMut, mut v: u64) {
    while v >= 0x80 {
        out.put_u8((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.put_u8(v as u8);
}

/// The events of a segment, one after the other. Fails once, then ends.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    rest: Bytes,
    at_us: u64,
}

impl Events {
    pub(crate) fn new(content: Bytes, start_us: u64) -> Self {
        Self { rest: content, at_us: start_us }
    }
    fn byte(&mut self) -> Result<u8, Damage> {
        let b = self.rest.first().copied().ok_or(Damage::Undecodable)?;
        self.rest = self.rest.slice(1..);
        Ok(b)
    }
    fn varint(&mut self) -> Result<u64, Damage> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            v |= u64::from(b & 0x7f).checked_shl(shift).unwrap_or(0);
            if b & 0x80 == 0 {
                return Ok(v);
            }
        }
        Err(Damage::Undecodable)
    }
    fn one(&mut self) -> Result<(u64, Event), Damage> {
        let tag = self.byte()?;
        let delta = self.varint()?;
        let len = usize::try_from(self.varint()?).map_err(|_| Damage::Undecodable)?;
        if len > self.rest.len() {
            return Err(Damage::Undecodable);
        }
        let body = self.rest.split_to(len);
        self.at_us = self.at_us.saturating_add(delta);
        Ok((self.at_us, Event::decode(tag, body)?))
    }
}

impl Iterator for Events {
    type Item = Result<(u64, Event), Damage>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.one();
        if item.is_err() {
            self.rest = Bytes::new();
        }
        Some(item)
    }
}
