//! What holds for every text: reading never panics, printing is a fixed point.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use unitfile::{UnitFile, UnitName, UnitOption};

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = UnitFile::parse(&bytes);
    }

    #[test]
    fn printing_is_a_fixed_point(text in r"([\[\]#;=\\ \r\n]|[AB]|\[S\]\n|A=|\\\n){0,40}") {
        if let Ok(file) = UnitFile::parse(text.as_bytes()) {
            let last_survives = UnitFile::from_options(file.options().to_vec()).is_ok();
            let again = UnitFile::parse(file.to_string().as_bytes());
            prop_assert!(!last_survives || again.unwrap().to_string() == file.to_string());
        }
    }

    #[test]
    fn options_that_are_accepted_read_back(options in prop::collection::vec(option(), 0..6)) {
        if let Ok(file) = UnitFile::from_options(options.clone()) {
            let read = UnitFile::parse(file.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read.hash(), file.hash());
            prop_assert_eq!(read.options().len(), options.len());
        }
    }

    #[test]
    fn names_never_panic(name: String) {
        let _ = UnitName::parse(&name).map(|name| (name.unit_type(), name.template()));
    }
}

fn option() -> impl Strategy<Value = UnitOption> {
    let text = r"([\[\]#;=\\ \r\n]|[AB]|\\\n){0,4}";
    (text, text, text).prop_map(|(section, name, value)| UnitOption {
        section,
        name,
        value,
    })
}

fn option_of(section: &str, name: &str, value: &str) -> UnitOption {
    let (section, name, value) = (section.to_owned(), name.to_owned(), value.to_owned());
    UnitOption {
        section,
        name,
        value,
    }
}

#[test]
fn options_cannot_inject_options() {
    for (section, name, value) in [
        ("S", "A", "b\nC=d\n[T]\nE=f"),
        ("S", "#A", "lost"),
        ("S]\n[T", "A", "b"),
        ("S", "A", r"swallows the next line \"),
        ("S", "A\nB", "b"),
        ("S", "A", " trimmed "),
    ] {
        let first = option_of("First", "ok", "one \\\n two");
        let options = vec![first, option_of(section, name, value)];
        let error = UnitFile::from_options(options).expect_err(value);
        assert_eq!(error.line, if section == "S" { 6 } else { 7 }, "{error}");
    }
}

#[test]
fn continuations_and_empty_options_are_legal() {
    let options = vec![
        option_of("S", "A", "one \\\n two \\\n"),
        option_of("", "", ""),
    ];
    let file = UnitFile::from_options(options.clone()).unwrap();
    assert_eq!(file.to_string(), "[S]\nA=one \\\n two \\\n\n\n[]\n=\n");
    assert_eq!(
        UnitFile::parse(file.to_string().as_bytes())
            .unwrap()
            .options(),
        options
    );
}
