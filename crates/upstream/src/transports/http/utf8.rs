//! Checks that pieces of text, joined, are UTF-8, without joining them.

/// What is known of the pieces so far.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character that goes on in the next piece.
    begun: [u8; 4],
    length: usize,
}

/// The text is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Utf8 {
    /// Reads the next piece. An unfinished character at its end is allowed.
    pub(super) fn accept(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while let (true, Some((first, rest))) = (self.length > 0, piece.split_first()) {
            self.begun[self.length] = *first;
            self.length += 1;
            piece = rest;
            match std::str::from_utf8(&self.begun[..self.length]) {
                Ok(_) => self.length = 0,
                // A character has four bytes at most; the fourth one completes or breaks it.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(NotUtf8),
            }
        }
        let Err(error) = std::str::from_utf8(piece) else { return Ok(()) };
        let begun = &piece[error.valid_up_to()..];
        if error.error_len().is_some() {
            return Err(NotUtf8);
        }
        self.begun[..begun.len()].copy_from_slice(begun);
        self.length = begun.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole(bytes in text_with_faults(), cuts in proptest::collection::vec(0usize..64, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut utf8, mut start, mut sound) = (Utf8::default(), 0, true);
            for cut in cuts {
                sound = sound && utf8.accept(&bytes[start..cut]).is_ok();
                start = cut;
            }
            prop_assert_eq!(sound && utf8.length == 0, std::str::from_utf8(&bytes).is_ok());
        }
    }

    fn text_with_faults() -> impl Strategy<Value = Vec<u8>> {
        let text = "[a-zäß€日😀]{0,12}".prop_map(String::into_bytes);
        (text, proptest::option::of((any::<u8>(), 0usize..12))).prop_map(|(mut bytes, fault)| {
            if let Some((byte, at)) = fault {
                let at = at.min(bytes.len());
                bytes.insert(at, byte);
            }
            bytes
        })
    }
}
