//! The question whether a new host key is to be trusted, and its answer.

use std::io::{self, Read};

/// ssh's question about a host key, in the original's words; none if ssh asks for something else.
///
/// Lines that the original does not have, such as other names that the key is known by, stay.
pub(super) fn question(prompt: &str) -> Option<String> {
    if !prompt.starts_with("The authenticity of host ") {
        return None;
    }
    let (told, asked) = prompt.trim_end().rsplit_once('\n')?;
    let told: Vec<String> = told.lines().map(in_its_words).collect();
    Some(format!(
        "{}\n{} ",
        told.join("\n"),
        asked.replace("/[fingerprint]", "")
    ))
}

fn in_its_words(line: &str) -> String {
    match line.split_once(" (") {
        // the address stands beside the name
        Some((host, _)) if host.starts_with("The authenticity of host ") => {
            format!("{host}' can't be established.")
        }
        _ => line.replace(" fingerprint is MD5:", " fingerprint is "),
    }
}

/// Whether a line says yes.
pub(super) fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "yes" | "y")
}

/// One line from `input`, and not a byte more: what follows is the remote command's.
pub(super) fn one_line(mut input: impl Read) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while input.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{is_yes, one_line, question};

    #[test]
    fn the_question_is_the_originals() {
        let asked = question(
            "The authenticity of host '[10.99.0.11]:2222 ([10.99.0.11]:2222)' can't be established.\n\
             ECDSA key fingerprint is MD5:3d:e1:35.\n\
             This key is not known by any other names.\n\
             Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
        );
        assert_eq!(
            asked.unwrap(),
            "The authenticity of host '[10.99.0.11]:2222' can't be established.\n\
             ECDSA key fingerprint is 3d:e1:35.\n\
             This key is not known by any other names.\n\
             Are you sure you want to continue connecting (yes/no)? "
        );
        let proxied = question(
            "The authenticity of host '10.99.0.11 (<no hostip for proxy command>)' can't be established.\nX\nSure (yes/no)? ",
        );
        assert!(
            proxied
                .unwrap()
                .starts_with("The authenticity of host '10.99.0.11' can't be")
        );
        assert_eq!(question("Enter passphrase for key 'id': "), None);
    }

    #[test]
    fn yes_is_yes_and_nothing_else() {
        for line in ["yes", "y", "YES", " yes\r"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["", "no", "yes please", "n"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }

    #[test]
    fn one_line_is_read_and_no_more() {
        let mut input: &[u8] = b"yes\nrest";
        assert_eq!(one_line(&mut input).unwrap(), "yes");
        assert_eq!(input, b"rest");
        assert_eq!(one_line(&b"yes"[..]).unwrap(), "yes");
        assert_eq!(one_line(&b""[..]).unwrap(), "");
    }
}
