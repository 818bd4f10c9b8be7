//! Unit names in D-Bus object paths.
//!
//! systemd writes every byte that is not a letter or a digit as `_` and two hexadecimal digits, a leading
//! digit too, and the empty text as `_` (sd_bus_path_encode(3)).

const UNITS: &str = "/org/freedesktop/systemd1/unit/";

/// The unit that an object path stands for; none if it is no unit's path.
pub(crate) fn unit_of_path(path: &str) -> Option<String> {
    let label = path.strip_prefix(UNITS)?.as_bytes();
    let mut name = Vec::with_capacity(label.len());
    let mut at = 0;
    while let Some(&byte) = label.get(at) {
        if byte == b'_' {
            name.push(hex(label.get(at + 1..at + 3)?)?);
            at += 3;
        } else {
            name.push(byte);
            at += 1;
        }
    }
    String::from_utf8(name).ok()
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_paths() {
        let unit = |label: &str| unit_of_path(&format!("{UNITS}{label}"));
        assert_eq!(unit("web_401_2eservice").as_deref(), Some("web@1.service"));
        assert_eq!(unit("_31_2etimer").as_deref(), Some("1.timer"));
        assert_eq!(unit("bad_2"), None);
        assert_eq!(unit_of_path("/org/freedesktop/systemd1/job/7"), None);
    }
}
