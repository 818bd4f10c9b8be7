//! Words for a shell on the far side.

/// The words as one line that a shell reads back as the same words.
pub(crate) fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Plain words stay as they are; others stand between single quotes.
fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::line;

    #[test]
    fn plain_words_are_not_quoted() {
        assert_eq!(
            line(["systemctl", "status", "-l", "web@1.service"]),
            "systemctl status -l web@1.service"
        );
    }

    #[test]
    fn a_shell_reads_the_words_back() {
        let words = [
            "",
            "a b",
            "$(reboot)",
            "it's",
            "a\\x2db.service",
            "\"",
            "*",
            "a\nb",
            "~",
        ];
        let script = format!("printf '%s\\0' {}", line(words));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            read.strip_suffix('\0')
                .unwrap()
                .split('\0')
                .collect::<Vec<_>>(),
            words
        );
    }
}
