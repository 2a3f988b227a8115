//! Places in a text: bytes inside, lines and characters towards the editor.
//!
//! In: a text, and a byte of it or a [`Position`]. Out: the other of the two. Every input gives an answer: what lies
//! outside the text or inside a character is moved to the nearest place before it.
//!
//! ```text
//! name == "😀" x      bytes 14, UTF-16 units 12, characters 11 up to the `x`
//! ```

/// What the `character` of a position counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units: what every editor understands.
    #[default]
    Utf16,
    /// Characters.
    Utf32,
}

/// A line and a place in it, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// Units of the [`Encoding`] from the line's start.
    pub character: u32,
}

impl Encoding {
    fn units(self, character: char) -> usize {
        match self {
            Encoding::Utf8 => character.len_utf8(),
            Encoding::Utf16 => character.len_utf16(),
            Encoding::Utf32 => 1,
        }
    }
}

/// Where the lines of a text start.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    /// Finds the lines; `\n`, `\r\n` and `\r` end one.
    pub fn new(text: &str) -> Lines {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(index, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(index + 1) != Some(&b'\n'),
            _ => false,
        });
        Lines { starts: std::iter::once(0).chain(ends.map(|(index, _)| index + 1)).collect() }
    }

    /// The position of a byte of the text.
    ///
    /// ```
    /// use eql_lsp::positions::{Encoding, Lines, Position};
    ///
    /// let text = "a\n\"😀\" b";
    /// let at = Lines::new(text).position(text, 9, Encoding::Utf16);
    /// assert_eq!(at, Position { line: 1, character: 5 });
    /// ```
    pub fn position(&self, text: &str, offset: usize, encoding: Encoding) -> Position {
        let offset = text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = text.get(start..offset).unwrap_or("");
        let character: usize = before.chars().map(|character| encoding.units(character)).sum();
        Position { line: saturate(line), character: saturate(character) }
    }

    /// The byte at a position.
    pub fn offset(&self, text: &str, position: Position, encoding: Encoding) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else { return text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(text.len());
        let content = text.get(start..end).unwrap_or("").trim_end_matches(['\r', '\n']);
        let mut left = position.character as usize;
        for (index, character) in content.char_indices() {
            let units = encoding.units(character);
            if left < units {
                return start + index;
            }
            left -= units;
        }
        start + content.len()
    }
}

fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "é\r\n😀x\ry\n";

    fn check(encoding: Encoding, places: &[(usize, u32, u32)]) {
        let lines = Lines::new(TEXT);
        for (offset, line, character) in places.iter().copied() {
            let position = Position { line, character };
            assert_eq!(lines.position(TEXT, offset, encoding), position, "byte {offset}");
            assert_eq!(lines.offset(TEXT, position, encoding), offset, "{position:?}");
        }
    }

    #[test]
    fn positions_and_bytes_are_each_others_inverse() {
        check(Encoding::Utf8, &[(0, 0, 0), (2, 0, 2), (4, 1, 0), (8, 1, 4), (9, 1, 5), (10, 2, 0), (12, 3, 0)]);
        check(Encoding::Utf16, &[(0, 0, 0), (2, 0, 1), (4, 1, 0), (8, 1, 2), (9, 1, 3), (10, 2, 0), (12, 3, 0)]);
        check(Encoding::Utf32, &[(0, 0, 0), (2, 0, 1), (4, 1, 0), (8, 1, 1), (9, 1, 2), (10, 2, 0), (12, 3, 0)]);
    }

    #[test]
    fn places_outside_the_text_are_moved_inside() {
        let lines = Lines::new(TEXT);
        let offset = |line, character| lines.offset(TEXT, Position { line, character }, Encoding::Utf16);
        assert_eq!(offset(0, 99), 2, "a line's end does not belong to it");
        assert_eq!(offset(1, 1), 4, "half of a surrogate pair is before the pair");
        assert_eq!((offset(9, 0), offset(u32::MAX, u32::MAX)), (12, 12));
        assert_eq!(lines.position(TEXT, usize::MAX, Encoding::Utf16), Position { line: 3, character: 0 });
        assert_eq!(lines.position(TEXT, 5, Encoding::Utf16), Position { line: 1, character: 0 });
    }
}
