//! From an argument to a unit's name and to the file that may hold it.

use std::path::PathBuf;

use unitfile::UnitName;

/// Types that need no `.service` added.
const SUFFIXES: [&str; 7] = [
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".device",
    ".mount",
    ".automount",
];

/// A unit as it stands on the command line: `hello`, `units/hello.service`, `/x/web@1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    /// As typed.
    pub(crate) text: String,
    /// The unit's name; nobody has checked it yet.
    pub(crate) name: String,
    /// Where its file would be.
    pub(crate) path: PathBuf,
}

impl Argument {
    /// Reads `text`: the last part of a path, with `.service` added if it has no unit type.
    pub(crate) fn new(text: &str) -> Self {
        Argument {
            text: text.to_owned(),
            name: with_suffix(base_name(text)),
            path: with_suffix(text).into(),
        }
    }

    /// Whether a unit can have this name; what cannot is no unit that a cluster knows.
    pub(crate) fn is_unit_name(&self) -> bool {
        UnitName::parse(&self.name).is_ok()
    }

    /// A file in the same folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }
}

/// The arguments, each unit once.
pub(crate) fn arguments(texts: &[String]) -> Vec<Argument> {
    let mut seen = std::collections::HashSet::new();
    texts
        .iter()
        .map(|text| Argument::new(text))
        .filter(|argument| seen.insert(argument.name.clone()))
        .collect()
}

fn with_suffix(text: &str) -> String {
    let known = SUFFIXES.iter().any(|suffix| text.ends_with(suffix));
    if known {
        text.to_owned()
    } else {
        format!("{text}.service")
    }
}

/// The last part of a path; `.` for nothing, as Go's `path.Base` has it.
fn base_name(text: &str) -> &str {
    match text.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => ".",
        Some(base) => base,
    }
}

#[cfg(test)]
mod tests {
    use super::{Argument, arguments};

    #[test]
    fn names_and_paths() {
        for (text, name, path) in [
            ("hello", "hello.service", "hello.service"),
            ("./d/hello", "hello.service", "./d/hello.service"),
            ("/x/y/hello.service", "hello.service", "/x/y/hello.service"),
            ("foo.target", "foo.target.service", "foo.target.service"),
            ("web@1.socket", "web@1.socket", "web@1.socket"),
            ("", "..service", ".service"),
            (".", "..service", "..service"),
        ] {
            let argument = Argument::new(text);
            assert_eq!(
                (argument.name.as_str(), argument.path.to_str()),
                (name, Some(path)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_unit_named_twice_is_one() {
        let texts = ["hello", "d/hello.service", "b"].map(str::to_owned);
        let names: Vec<_> = arguments(&texts)
            .into_iter()
            .map(|argument| argument.name)
            .collect();
        assert_eq!(names, ["hello.service", "b.service"]);
    }
}
