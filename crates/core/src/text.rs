//! Cleaning of text that others wrote, before people or records see it.

/// Longest quotation in an error, in characters.
const MAX_QUOTED: usize = 64;

/// `text` in quotes, escaped and bounded.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// `text` without control characters and without the marks that reorder or hide
/// text, at most `max` bytes.
pub(crate) fn clean(text: &str, max: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut cleaned = String::new();
    for c in text
        .chars()
        .filter(|&c| !c.is_control() && !is_invisible(c))
    {
        if cleaned.len() + c.len_utf8() > max {
            while cleaned.len() + ELLIPSIS.len_utf8() > max && cleaned.pop().is_some() {}
            if cleaned.len() + ELLIPSIS.len_utf8() <= max {
                cleaned.push(ELLIPSIS);
            }
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

/// Zero-width, line-separating and bidirectional marks (Unicode UAX #9; the
/// "trojan source" set).
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
    )
}

#[cfg(test)]
mod tests;
