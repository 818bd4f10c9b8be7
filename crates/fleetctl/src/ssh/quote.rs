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

/// A line that a shell on the far side reads as `command`, run by the user's own shell, and whose exit code is 128+n
/// if signal n ends that: SSH tells of signals in a way that `ssh` does not pass on.
pub(crate) fn with_signals(command: &str) -> String {
    // the shell that waits keeps quiet about the other's end
    const WAIT: &str =
        r#"exec 3>&2 2>/dev/null; (exec 2>&3 3>&-; exec "${SHELL:-sh}" -c "$1"); exit $?"#;
    format!("exec {}", line(["sh", "-c", WAIT, "sh", command]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{line, with_signals};

    #[test]
    fn a_signal_becomes_an_exit_code_without_a_word() {
        let sh = |command: &str| {
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &with_signals(command)]).output().unwrap()
        };
        let output = sh("echo out; echo it\\'s >&2; kill -9 $$");
        assert_eq!(output.status.code(), Some(137));
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"it's\n");
        assert_eq!(sh("exit 7").status.code(), Some(7));
    }

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
