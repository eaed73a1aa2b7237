//! SSH public keys as people paste them (`ssh-ed25519 AAAA… comment`) and as the wire carries them (RFC 4253 §6.6,
//! RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f). Keys are compared by their wire form, never by their text.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest as _, Sha256};

/// Longest accepted line: an RSA-16384 key has about 2,800 characters.
const MAX_LINE: usize = 16 * 1024;

/// Why a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not an OpenSSH public key line.
    #[error("not an OpenSSH public key")]
    Format,
    /// A private key was pasted.
    #[error("this is a private key; give the public one")]
    Private,
    /// Options (`command=…`) in front of the key have no meaning here.
    #[error("options in front of the key are not supported")]
    Options,
    /// DSA, certificates and other kinds that are not accepted.
    #[error("this kind of key is not accepted; use ed25519, ecdsa, rsa or a security key")]
    Kind,
    /// An RSA key below 2048 bits.
    #[error("an RSA key needs at least 2048 bits, this one has {0}")]
    Short(usize),
}

impl KeyError {
    /// Stable code of the sentence for people.
    pub const fn code(self) -> &'static str {
        match self {
            KeyError::Format => "key.format",
            KeyError::Private => "key.private",
            KeyError::Options => "key.options",
            KeyError::Kind => "key.kind",
            KeyError::Short(_) => "key.short",
        }
    }
}

/// A checked public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedKey {
    /// `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, `sk-ssh-ed25519@openssh.com`, …
    pub algorithm: &'static str,
    /// The wire form.
    pub blob: Vec<u8>,
    /// Size in bits.
    pub bits: usize,
    /// What follows the key in the line; may be empty.
    pub comment: String,
}

impl ParsedKey {
    /// `SHA256:…` as OpenSSH prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.blob)
    }
    /// The canonical line, without options, with the comment if there is one.
    pub fn line(&self) -> String {
        let line = format!("{} {}", self.algorithm, STANDARD.encode(&self.blob));
        if self.comment.is_empty() { line } else { format!("{line} {}", self.comment) }
    }
    /// Whether both are the same key, whatever their comments.
    pub fn is_same(&self, other: &ParsedKey) -> bool {
        self.blob == other.blob
    }
}

/// `SHA256:…` of a wire form, as OpenSSH prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

/// Reads one line of the form `<algorithm> <base64> [comment]`.
///
/// # Errors
/// [`KeyError`], each with its own sentence.
pub fn parse(line: &str) -> Result<ParsedKey, KeyError> {
    let line = line.trim();
    if line.len() > MAX_LINE {
        return Err(KeyError::Format);
    }
    if line.contains("PRIVATE KEY") {
        return Err(KeyError::Private);
    }
    if line.contains(['\n', '\r']) {
        return Err(KeyError::Format);
    }
    let mut words = line.splitn(3, [' ', '\t']);
    let (Some(named), Some(body)) = (words.next(), words.next()) else { return Err(KeyError::Format) };
    if !is_algorithm_word(named) {
        let options = line.split([' ', '\t']).skip(1).any(is_algorithm_word);
        return Err(if options { KeyError::Options } else { KeyError::Format });
    }
    let algorithm = *ACCEPTED.iter().find(|a| **a == named).ok_or(KeyError::Kind)?;
    let blob = STANDARD_NO_PAD.decode(body.trim_end_matches('=')).map_err(|_| KeyError::Format)?;
    let bits = check_blob(algorithm, &blob)?;
    let comment = words.next().unwrap_or_default().trim();
    Ok(ParsedKey { algorithm, blob, bits, comment: crate::clean(comment, 128) })
}

const ACCEPTED: [&str; 7] = [
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa", "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn is_algorithm_word(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-sha2-"].iter().any(|p| word.starts_with(p)) && !word.contains(['=', '"', ','])
}

/// The wire form names the same algorithm, has exactly its fields, and nothing after them.
fn check_blob(algorithm: &str, blob: &[u8]) -> Result<usize, KeyError> {
    let mut wire = Wire(blob);
    if wire.string()? != algorithm.as_bytes() {
        return Err(KeyError::Format);
    }
    let bits = match algorithm {
        "ssh-ed25519" => wire.exactly(32).map(|()| 256)?,
        "sk-ssh-ed25519@openssh.com" => {
            wire.exactly(32)?;
            wire.application()?;
            256
        }
        "ssh-rsa" => {
            let e = wire.positive()?;
            let n = wire.positive()?;
            let bits = bit_length(n);
            if bits < 2048 {
                return Err(KeyError::Short(bits));
            }
            // RFC 8017: odd exponent of at least 3; more than 8 bytes only makes verification slow
            if bits > 16_384 || e.len() > 8 || e == [1] || e.last().is_none_or(|b| b % 2 == 0) {
                return Err(KeyError::Format);
            }
            bits
        }
        "ecdsa-sha2-nistp256" => wire.point("nistp256", 32).map(|()| 256)?,
        "ecdsa-sha2-nistp384" => wire.point("nistp384", 48).map(|()| 384)?,
        "ecdsa-sha2-nistp521" => wire.point("nistp521", 66).map(|()| 521)?,
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            wire.point("nistp256", 32)?;
            wire.application()?;
            256
        }
        _ => return Err(KeyError::Kind),
    };
    if wire.0.is_empty() { Ok(bits) } else { Err(KeyError::Format) }
}

fn bit_length(n: &[u8]) -> usize {
    n.first().map_or(0, |top| n.len() * 8 - top.leading_zeros() as usize)
}

/// Reader of SSH wire fields (RFC 4251 §5).
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn string(&mut self) -> Result<&'a [u8], KeyError> {
        let (len, rest) = self.0.split_first_chunk::<4>().ok_or(KeyError::Format)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| KeyError::Format)?;
        let (value, rest) = rest.split_at_checked(len).ok_or(KeyError::Format)?;
        self.0 = rest;
        Ok(value)
    }
    fn exactly(&mut self, len: usize) -> Result<(), KeyError> {
        if self.string()?.len() == len { Ok(()) } else { Err(KeyError::Format) }
    }
    /// An mpint above zero in its shortest form, without the sign byte.
    fn positive(&mut self) -> Result<&'a [u8], KeyError> {
        match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) => Ok(rest),
            v @ [first, ..] if *first != 0 && first & 0x80 == 0 => Ok(v),
            _ => Err(KeyError::Format),
        }
    }
    /// Curve name and uncompressed point.
    fn point(&mut self, curve: &str, size: usize) -> Result<(), KeyError> {
        if self.string()? != curve.as_bytes() {
            return Err(KeyError::Format);
        }
        match self.string()? {
            [4, rest @ ..] if rest.len() == 2 * size => Ok(()),
            _ => Err(KeyError::Format),
        }
    }
    /// The application of a security key, normally `ssh:`.
    fn application(&mut self) -> Result<(), KeyError> {
        let app = self.string()?;
        if app.len() <= 256 && std::str::from_utf8(app).is_ok() { Ok(()) } else { Err(KeyError::Format) }
    }
}
