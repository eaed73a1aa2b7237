//! Clear text in memory, for as short as possible.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A value that is wiped when dropped and that shows nothing: `Debug` prints `[secret]`; there is no `Display`, no
/// `Serialize`, no `PartialEq`.
///
/// Copies that other code makes from [`Secret::expose`] are that code's business; keep them in wiping types.
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes a value into custody.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }
    /// Looks at the value. Every call is a place to review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<String> {
    /// From bytes that must be UTF-8; the bytes are wiped either way.
    pub(crate) fn from_utf8(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        std::str::from_utf8(&bytes).ok().map(|s| Self::new(s.to_owned()))
    }
    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_shows_nothing_when_printed() {
        #[derive(Debug)]
        struct Holder {
            #[allow(dead_code)]
            password: Secret<String>,
        }
        let text = format!("{:?} {:#?}", Secret::new("hunter2".to_owned()), Holder { password: Secret::new("hunter2".to_owned()) });

        assert!(!text.contains("hunter2"));
        assert!(text.starts_with("[secret] "));
    }
}
