//! Rust text without its comments and literals, each of their bytes a space, so
//! that words and braces can be looked for line by line. Not a parser.

#[cfg(test)]
mod tests;

/// The code alone; lines and columns stay.
pub(super) fn code(text: &str) -> String {
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: 0,
        out: Vec::with_capacity(text.len()),
    };
    while lexer.at < lexer.bytes.len() {
        lexer.step();
    }
    String::from_utf8_lossy(&lexer.out).into_owned()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"//") {
            let end = rest
                .iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(rest.len());
            self.blank(end);
        } else if rest.starts_with(b"/*") {
            self.blank(block_comment(rest));
        } else if let Some(length) = raw_string(rest).filter(|_| !self.in_word()) {
            self.blank(length);
        } else if rest[0] == b'"' {
            self.blank(quoted(rest, b'"'));
        } else if let Some(length) = character(rest) {
            self.blank(length);
        } else {
            self.out.push(rest[0]);
            self.at += 1;
        }
    }

    fn in_word(&self) -> bool {
        self.out
            .last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }

    fn blank(&mut self, length: usize) {
        for &byte in &self.bytes[self.at..self.at + length] {
            self.out.push(if byte == b'\n' { b'\n' } else { b' ' });
        }
        self.at += length;
    }
}

fn block_comment(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Of `r"…"`, `r#"…"#`, `br"…"` and `cr"…"`, if the text begins with one.
fn raw_string(text: &[u8]) -> Option<usize> {
    let prefix = usize::from(text.starts_with(b"br") || text.starts_with(b"cr"));
    let after = text.get(prefix..)?.strip_prefix(b"r")?;
    let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
    if after.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = &after[hashes + 1..];
    let end = body
        .windows(close.len())
        .position(|window| window == close)
        .map_or(body.len(), |at| at + close.len());
    Some(prefix + 1 + hashes + 1 + end)
}

fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Of a character literal; a lifetime is none.
fn character(text: &[u8]) -> Option<usize> {
    let after = text.strip_prefix(b"'")?;
    let first = *after.first()?;
    if first == b'\\' {
        return Some(quoted(text, b'\''));
    }
    // One character may be several bytes.
    let width = match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    (after.get(width) == Some(&b'\'')).then_some(width + 2)
}
