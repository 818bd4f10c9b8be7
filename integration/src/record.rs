//! What a lab writes down about itself (`lab.json`), so that a later process finds it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::Process;

/// The record of a lab: the facts that do not follow from its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The name of the lab, of its folder, and part of every name it takes on the host.
    pub(crate) name: String,
    /// What the machine ids are made from.
    pub(crate) seed: String,
    /// The process it ends with; none if it is kept.
    pub(crate) owner: Option<Process>,
    /// How many machines it has: `m1` to `mN`.
    pub(crate) machines: usize,
}

impl Record {
    /// Takes the name for this process, or says who has it.
    pub(crate) fn claim(name: &str, seed: &str) -> Result<Record> {
        check_name(name)?;
        let _lock = lock()?;
        if let Some(taken) = Self::read(name)? {
            bail!(
                "there is a lab {name:?} already ({}); `cargo xtask lab down --name {name}` removes it",
                taken.describe_owner()
            );
        }
        let record = Record {
            name: name.to_owned(),
            seed: seed.to_owned(),
            owner: Some(Process::current()?),
            machines: 0,
        };
        fs::create_dir_all(record.folder())
            .with_context(|| format!("making {}", record.folder().display()))?;
        record.write()?;
        Ok(record)
    }

    fn describe_owner(&self) -> String {
        self.owner.map_or("kept".to_owned(), |owner| {
            format!("of process {}", owner.pid)
        })
    }

    /// Reads the record of the lab of that name, if there is one.
    pub(crate) fn read(name: &str) -> Result<Option<Record>> {
        let path = home().join(name).join("lab.json");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("reading {}", path.display()))?,
        };
        serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("reading {}", path.display()))
    }

    /// Writes it in one step: a reader sees the old one or the new one.
    pub(crate) fn write(&self) -> Result<()> {
        let path = self.folder().join("lab.json");
        replace(&path, &serde_json::to_vec_pretty(self)?)
    }

    /// The folder of the lab.
    pub(crate) fn folder(&self) -> PathBuf {
        home().join(&self.name)
    }
}

/// Writes a file so that no reader ever sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, content)
        .and_then(|()| fs::rename(&draft, path))
        .with_context(|| format!("writing {}", path.display()))
}

/// The folder of all labs: `$FLOTILLA_LAB_DIR`, or `/var/lib/flotilla-lab`.
pub fn home() -> PathBuf {
    std::env::var_os("FLOTILLA_LAB_DIR")
        .map_or_else(|| "/var/lib/flotilla-lab".into(), PathBuf::from)
}

/// The records of all labs, by name.
pub(crate) fn all() -> Result<Vec<Record>> {
    let entries = match fs::read_dir(home()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", home().display()))?,
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    // a lab may go away between the two looks
    names
        .iter()
        .filter(|name| check_name(name).is_ok())
        .filter_map(|name| Record::read(name).transpose())
        .collect()
}

/// Held while a name is claimed or a lab is swept; released when dropped.
pub(crate) fn lock() -> Result<File> {
    let path = home().join(".lock");
    fs::create_dir_all(home()).with_context(|| format!("making {}", home().display()))?;
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    file.lock()
        .with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// The name is part of file names, host names and namespace names.
fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=32).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-');
    ensure!(
        good,
        "{name:?} is no name for a lab: it takes 1 to 32 of a-z, 0-9 and, between them, -"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_that_would_break_a_path_or_a_host_name_are_refused() {
        for good in ["a", "power-loss", "power-loss-4711", "3"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-",
            "a-",
            "..",
            "a/b",
            "a.b",
            "Lab",
            "a b",
            &"a".repeat(33),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
