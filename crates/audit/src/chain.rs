//! The hash chain: how a line is sealed and how a sealed line is read back. The rule stands in the crate's
//! documentation; this file is the only one that carries it out. What a line says is not looked at here.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;

/// Hex digits of a SHA-256.
pub(crate) const HEX: usize = 64;
/// Bytes of `,"hash":"<64 hex>"}`, which end a line and are not hashed.
const SEAL: usize = HASH_KEY.len() + HEX + CLOSE.len();
const SEQ_KEY: &[u8] = br#","seq":"#;
const PREV_KEY: &[u8] = br#","prev":""#;
const HASH_KEY: &[u8] = br#","hash":""#;
const CLOSE: &[u8] = br#""}"#;

/// The hash of a line, as its hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineHash([u8; HEX]);

/// A place in the chain: the number of a line and its hash. Keep one elsewhere, and nobody can shorten or rewrite the
/// file up to it without being found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The number of the line; the first is 1.
    pub seq: u64,
    /// Its hash.
    pub hash: LineHash,
}

/// Text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line hash has 64 hex digits, 0-9 and a-f")]
pub struct InvalidHash;

/// What a line says about its place, before anybody believes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) link: Link,
    pub(crate) prev: LineHash,
    /// Whether `link.hash` is the hash of the line's bytes.
    pub(crate) is_intact: bool,
}

/// Completes the line that starts at `line_start` in `buffer` (everything but its last fields and the closing brace)
/// and moves `tip` to it.
pub(crate) fn seal(buffer: &mut Vec<u8>, line_start: usize, tip: &mut Link) {
    let seq = tip.seq + 1;
    buffer.extend_from_slice(SEQ_KEY);
    push_decimal(buffer, seq);
    buffer.extend_from_slice(PREV_KEY);
    buffer.extend_from_slice(&tip.hash.0);
    buffer.push(b'"');
    let hash = LineHash::of(&buffer[line_start..]);
    buffer.extend_from_slice(HASH_KEY);
    buffer.extend_from_slice(&hash.0);
    buffer.extend_from_slice(CLOSE);
    buffer.push(b'\n');
    *tip = Link { seq, hash };
}

/// Reads the chain fields from the end of `line` (without its newline). None: it is not a line of a trail.
pub(crate) fn read(line: &[u8]) -> Option<Sealed> {
    let (hashed, seal) = line.split_at_checked(line.len().checked_sub(SEAL)?)?;
    let hash = seal.strip_prefix(HASH_KEY)?.strip_suffix(CLOSE)?;
    let (head, prev) = hashed.strip_suffix(b"\"")?.split_at_checked(hashed.len().checked_sub(1 + HEX)?)?;
    let head = head.strip_suffix(PREV_KEY)?;
    let digits = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, seq) = head.split_at(head.len() - digits);
    head.strip_suffix(SEQ_KEY)?;
    let seq = str::from_utf8(seq).ok()?.parse().ok()?;
    let hash = LineHash::from_hex(hash)?;
    let is_intact = LineHash::of(hashed) == hash;
    Some(Sealed { link: Link { seq, hash }, prev: LineHash::from_hex(prev)?, is_intact })
}

/// Returns the hex digits of a SHA-256.
pub(crate) fn hex(sha256: &[u8]) -> [u8; HEX] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [b'0'; HEX];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(sha256) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

/// Appends `number` in decimal.
pub(crate) fn push_decimal(buffer: &mut Vec<u8>, mut number: u64) {
    /// Digits of `u64::MAX`.
    const MOST: usize = 20;
    let mut digits = [b'0'; MOST];
    let mut first = MOST - 1;
    loop {
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        first -= 1;
    }
    buffer.extend_from_slice(&digits[first..]);
}

// === impl LineHash ===

impl LineHash {
    /// What the first line names as the hash of the line before it.
    pub const GENESIS: Self = Self([b'0'; HEX]);

    fn of(bytes: &[u8]) -> Self {
        Self(hex(digest::digest(&digest::SHA256, bytes).as_ref()))
    }

    fn from_hex(digits: &[u8]) -> Option<Self> {
        let digits: [u8; HEX] = digits.try_into().ok()?;
        let is_hex = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then_some(Self(digits))
    }

    /// Returns the hex digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hex digits are ASCII")
    }
}

impl FromStr for LineHash {
    type Err = InvalidHash;
    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        Self::from_hex(text.as_bytes()).ok_or(InvalidHash)
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Link ===

impl Link {
    /// The place before the first line.
    pub const GENESIS: Self = Self { seq: 0, hash: LineHash::GENESIS };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_reads_back_and_is_one_json_object() {
        let (mut buffer, mut tip) = (br#"{"phase":"event""#.to_vec(), Link::GENESIS);
        seal(&mut buffer, 0, &mut tip);
        let line = buffer.strip_suffix(b"\n").unwrap();
        let sealed = read(line).unwrap();
        assert!(sealed.is_intact);
        assert_eq!((sealed.link, sealed.prev), (tip, LineHash::GENESIS));
        let object: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!((&object["seq"], &object["hash"]), (&1.into(), &tip.hash.as_str().into()));
    }

    #[test]
    fn what_is_no_sealed_line_is_not_read() {
        for other in [&b""[..], b"{}", b"\0\0\0", &[b'"'; 300]] {
            assert!(read(other).is_none());
        }
    }

    #[test]
    fn decimals_have_no_leading_zeros() {
        for number in [0, 9, 10, 4096, u64::MAX] {
            let mut text = Vec::new();
            push_decimal(&mut text, number);
            assert_eq!(text, number.to_string().into_bytes());
        }
    }
}
