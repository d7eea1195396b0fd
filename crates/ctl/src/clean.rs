//! Makes text that others wrote safe for a terminal.
//!
//! A guest's console, an error or a label may hold control sequences that move
//! the cursor, rename the window or hide what follows. Letters, newlines and tabs
//! pass; colours are dropped; everything else is shown escaped. Not for machines:
//! they ask for the raw bytes.

use std::fmt::Write as _;

/// The longest colour sequence that is recognised, in bytes.
const MAX_COLOUR: usize = 32;

/// Cleans a stream that arrives in pieces; where it is cut makes no difference.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    /// Bytes whose meaning depends on what follows.
    pending: Vec<u8>,
}

/// What the first bytes are.
enum Piece {
    /// So many bytes are dropped.
    Dropped(usize),
    /// So many bytes are a line break.
    Break(usize),
    Char(char),
    /// One byte that is no text.
    Byte,
    /// More bytes are needed to tell.
    Unknown,
}

impl Cleaner {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        self.take(false)
    }

    /// What was held back, when nothing more will come.
    pub(crate) fn finish(&mut self) -> String {
        self.take(true)
    }

    fn take(&mut self, last: bool) -> String {
        let mut clean = String::with_capacity(self.pending.len());
        let mut rest: &[u8] = &self.pending;
        while let Some(&first) = rest.first() {
            let taken = match classify(rest, last) {
                Piece::Dropped(count) => count,
                Piece::Break(count) => {
                    clean.push('\n');
                    count
                }
                Piece::Char(c) => {
                    push_char(&mut clean, c);
                    c.len_utf8()
                }
                Piece::Byte => {
                    push_byte(&mut clean, first);
                    1
                }
                Piece::Unknown => break,
            };
            rest = &rest[taken..];
        }
        let kept = rest.len();
        self.pending.drain(..self.pending.len() - kept);
        clean
    }
}

/// Cleans one line: line breaks are escaped too.
pub(crate) fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' {
            clean.extend(c.escape_default());
        } else {
            push_char(&mut clean, c);
        }
    }
    clean
}

/// Escapes in a JSON text what JSON allows as it is and a terminal obeys or hides.
/// Such characters stand only inside strings, so the value stays the same.
pub(crate) fn json(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(clean, "\\u{unit:04x}").expect("a string takes everything");
            }
        } else {
            clean.push(c);
        }
    }
    clean
}

fn classify(rest: &[u8], last: bool) -> Piece {
    match rest[0] {
        // A terminal driver turns newlines into `\r\n`; a `\r` alone begins the
        // line again (progress bars), which becomes a line of its own.
        b'\r' => match rest.get(1) {
            Some(b'\r' | b'\n') => Piece::Dropped(1),
            None if !last => Piece::Unknown,
            _ => Piece::Break(1),
        },
        0x1b => colour(rest, last),
        0..0x80 => Piece::Char(char::from(rest[0])),
        _ => multibyte(rest, last),
    }
}

/// `ESC [ numbers m` (ECMA-48, select graphic rendition).
fn colour(rest: &[u8], last: bool) -> Piece {
    if rest.get(1).is_some_and(|second| *second != b'[') {
        return Piece::Byte;
    }
    let parameters = rest.iter().skip(2).take(MAX_COLOUR);
    let length = parameters
        .take_while(|b| b.is_ascii_digit() || matches!(b, b';' | b':'))
        .count();
    match rest.get(2 + length) {
        Some(b'm') => Piece::Dropped(length + 3),
        None if !last && length < MAX_COLOUR => Piece::Unknown,
        _ => Piece::Byte,
    }
}

fn multibyte(rest: &[u8], last: bool) -> Piece {
    let head = &rest[..rest.len().min(4)];
    let (valid, error) = match str::from_utf8(head) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = str::from_utf8(&head[..error.valid_up_to()]).expect("checked just now");
            (valid, Some(error))
        }
    };
    if let Some(c) = valid.chars().next() {
        return Piece::Char(c);
    }
    match error.and_then(|error| error.error_len()) {
        None if !last => Piece::Unknown,
        _ => Piece::Byte,
    }
}

fn push_char(clean: &mut String, c: char) {
    match c {
        '\n' | '\t' => clean.push(c),
        c if c.is_ascii_control() => push_byte(clean, u8::try_from(c).expect("ASCII")),
        c if c.is_control() || is_invisible(c) => clean.extend(c.escape_unicode()),
        c => clean.push(c),
    }
}

fn push_byte(clean: &mut String, byte: u8) {
    write!(clean, "\\x{byte:02x}").expect("a string takes everything");
}

/// Characters that reorder, hide or break text around them (Unicode's
/// bidirectional formatting, line separators, zero width and tag characters).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests;
