//! Every `tests/files/*.service` reads as the `.txt` beside it tells; `UPDATE=1 cargo test -p unitfile` rewrites these.
// the crate does no I/O, its examples are files
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::{env, fs};

use unitfile::UnitFile;

#[test]
fn files_read_as_told() {
    for path in unit_files(&here().join("tests/files")) {
        let told = path.with_extension("txt");
        let read = describe(&fs::read(&path).unwrap());
        if env::var_os("UPDATE").is_some() {
            fs::write(&told, &read).unwrap();
        }
        let expected = fs::read_to_string(&told).unwrap_or_default();
        assert_eq!(read, expected, "{}", path.display());
    }
}

#[test]
fn shipped_unit_files_parse() {
    let folder = here().join("../../unitfiles");
    for path in unit_files(&folder).chain(unit_files(&folder.join("examples"))) {
        let parsed = UnitFile::parse(&fs::read(&path).unwrap());
        let file = parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        UnitFile::from_options(file.options().to_vec()).unwrap();
    }
}

/// The hash, then an option a line, then what printing and reading again makes of it.
fn describe(bytes: &[u8]) -> String {
    let file = match UnitFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => return format!("{error}\n"),
    };
    let mut text = format!("{}\n", file.hash());
    for option in file.options() {
        let (section, name, value) = (&option.section, &option.name, &option.value);
        text += &format!("{section:?} {name:?} {value:?}\n");
    }
    if let Err(error) = UnitFile::from_options(file.options().to_vec()) {
        text += &format!("cannot be submitted: printed, {error}\n");
    }
    text
}

fn unit_files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let known = ["service", "socket", "timer", "path", "mount", "target"];
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| known.iter().any(|k| e == *k))
        })
        .collect();
    paths.sort();
    paths.into_iter()
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
