//! The identity of a unit file's content.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use sha1::{Digest, Sha1};

/// SHA-1 of a unit file's canonical text. Two files with one hash are the same to fleet,
/// whatever their comments and layout.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 20]);

impl Hash {
    /// The hash of `text`, which must be in canonical form already.
    pub fn of(text: &str) -> Self {
        Hash(Sha1::digest(text.as_bytes()).into())
    }

    /// The first seven hexadecimal digits: the form that tables show.
    pub fn short(&self) -> String {
        self.to_string()[..7].to_owned()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits.map(digit).try_for_each(|digit| f.write_char(digit))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid unit file hash {0:?}: expected 40 hexadecimal digits")]
pub struct HashError(String);

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let bad = || HashError(text.to_owned());
        if text.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut bytes = [0; 20];
        for (byte, at) in bytes.iter_mut().zip((0..40).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad())?;
        }
        Ok(Hash(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_forty_digits_and_reads_back() {
        let hash = Hash::of("[Service]\nExecStart=/bin/sleep 9999\n");
        assert_eq!(hash.to_string(), "8381dc3ddca22e2ca9eb3cfb56089be98c60c694");
        assert_eq!(hash.short(), "8381dc3");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
    }

    #[test]
    fn other_texts_are_no_hash() {
        for text in [
            "",
            "8381dc3",
            &"x".repeat(40),
            &"é".repeat(20),
            &"0".repeat(41),
        ] {
            assert_eq!(text.parse::<Hash>(), Err(HashError(text.to_owned())));
        }
    }
}
