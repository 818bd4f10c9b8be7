//! Quotes text for messages as the original does, so that both say the same.
//!
//! The form is that of Go's `strconv.Quote` and `strconv.QuoteRune`.

/// `text` in double quotes: `"a\nb"`.
pub fn quoted(text: &str) -> String {
    let inner: String = text.chars().map(|c| escaped(c, '"')).collect();
    format!("\"{inner}\"")
}

/// `c` in single quotes: `'é'`, `'\n'`.
pub fn quoted_char(c: char) -> String {
    format!("'{}'", escaped(c, '\''))
}

fn escaped(c: char, quote: char) -> String {
    match c {
        '\\' => r"\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        '\u{07}' => r"\a".to_owned(),
        '\u{08}' => r"\b".to_owned(),
        '\u{0c}' => r"\f".to_owned(),
        '\n' => r"\n".to_owned(),
        '\r' => r"\r".to_owned(),
        '\t' => r"\t".to_owned(),
        '\u{0b}' => r"\v".to_owned(),
        c if is_printable(c) => c.to_string(),
        c if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("\\u{:04x}", u32::from(c)),
        c => format!("\\U{:08x}", u32::from(c)),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printable(c: char) -> bool {
    // Rust's Debug form escapes what is not printable, a backslash and the quotes; those are dealt with already
    matches!(c, '"' | '\'') || c.escape_debug().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_like_go() {
        assert_eq!(quoted("a \"b\" 'c' \\"), r#""a \"b\" 'c' \\""#);
        assert_eq!(quoted("é\u{a0}\0\u{7f}"), r#""é\u00a0\x00\x7f""#);
    }

    #[test]
    fn characters_are_quoted_like_go() {
        let seen: Vec<String> = "é\n !'\u{e0000}".chars().map(quoted_char).collect();
        assert_eq!(
            seen,
            ["'é'", r"'\n'", "' '", "'!'", r"'\''", r"'\U000e0000'"]
        );
    }
}
