//! The unit directory, and what we remember of it: which files are ours, and which units were started.
//!
//! A unit file that we wrote has a *record* of its name and hash in a directory of our own: written before
//! the file appears and removed after it went, so that a file without a record is never ours, whatever
//! moment the power fails at. Where a file is replaced the record follows it: if it still tells of the
//! earlier one, the file is taken for that and replaced again.
//!
//! A *mark* in a directory that a reboot empties says that systemd was asked to start the unit since the machine
//! booted, so that a new fleetd does not run a finished or failed unit again; and whether it was asked to stop the unit
//! since, so that one which goes down by order while no fleetd is there has not come to its end by itself.

mod fenced;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use unitfile::{Hash, UnitFile, UnitName};

/// Where the unit files, the records and the marks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// Unit files: `units_directory` of the configuration.
    pub units: PathBuf,
    /// Records of the unit files that are ours; must outlive a reboot if unit files do.
    pub records: PathBuf,
    /// Marks of units that were started; must not outlive a reboot.
    pub marks: PathBuf,
    /// Where systemd looks for what a reboot takes away: what fenced units have beside their files.
    pub runtime_units: PathBuf,
}

impl Default for Directories {
    fn default() -> Self {
        Directories {
            units: "/etc/systemd/system".into(),
            records: "/var/lib/fleet/units".into(),
            marks: "/run/fleet/launched".into(),
            runtime_units: "/run/systemd/system".into(),
        }
    }
}

/// The unit files of ours on this machine.
#[derive(Debug)]
pub struct UnitFiles {
    pub(crate) directories: Directories,
}

/// A unit file of ours that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which unit file it is; none if it is not one that we wrote in full.
    pub hash: Option<Hash>,
    /// Whether systemd was asked to start the unit since the machine booted.
    pub launched: bool,
    /// Whether it was asked to stop it after that.
    pub stopping: bool,
}

/// What went wrong with a unit's file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is a file of that name that we did not write.
    #[error("{} is there already and is not fleet's", .0.display())]
    Foreign(PathBuf),
    /// The file system refused.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl FileError {
    /// What somebody can do about it, where that is known. It is tried again by itself.
    pub(crate) fn cure(&self) -> Option<&'static str> {
        let FileError::Io { source, .. } = self else {
            return None;
        };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("make room there: fleetd tries again by itself")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Some("make it writable (mount -o remount,rw): fleetd tries again by itself")
            }
            _ => None,
        }
    }
}

/// The name under which a file is written before it takes its place; systemd takes no notice of it.
const ASIDE: &str = ".fleet-unit.new";
/// What stands in a mark once systemd is about to be asked to stop the unit.
const STOPPING: &str = "stopping\n";

impl UnitFiles {
    /// Makes the directories where they are missing.
    pub fn open(directories: Directories) -> Result<UnitFiles, FileError> {
        let Directories {
            units,
            records,
            marks,
            runtime_units,
        } = &directories;
        for path in [units, records, marks, runtime_units] {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
            made.or_else(failed("creating directory", path))?;
        }
        Ok(UnitFiles { directories })
    }

    /// All units of ours. What cannot be read is warned of and left alone.
    pub fn scan(&self) -> Result<BTreeMap<UnitName, Found>, FileError> {
        let path = &self.directories.records;
        let entries = fs::read_dir(path).or_else(failed("reading directory", path))?;
        let names = entries
            .flatten()
            .filter_map(|entry| self.name_of(&entry.path()));
        Ok(names.filter_map(|name| self.look(name)).collect())
    }

    /// Where a unit's file is.
    pub fn path(&self, name: &UnitName) -> PathBuf {
        self.directories.units.join(name.as_str())
    }

    /// The directory in which unit files are.
    pub fn directory(&self) -> &Path {
        &self.directories.units
    }

    /// Whether a unit's file asks for links.
    pub fn has_install(&self, name: &UnitName) -> bool {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        UnitFile::parse(&bytes).is_ok_and(|file| file.has_section("Install"))
    }

    /// Whether a unit's file, if there is one, was written by us.
    pub fn is_ours(&self, name: &UnitName) -> bool {
        self.record(name).exists()
    }

    /// Writes a unit's file, in place of an earlier one of ours.
    pub fn write(&self, name: &UnitName, file: &UnitFile) -> Result<(), FileError> {
        let (path, record) = (self.path(name), self.record(name));
        let (text, hash) = (file.to_string(), file.hash().to_string());
        if record.exists() {
            self.put(&path, &text)?;
            return self.put(&record, &hash);
        }
        if path.symlink_metadata().is_ok() {
            return Err(FileError::Foreign(path));
        }
        self.put(&record, &hash)?;
        self.put(&path, &text)
    }

    /// Removes a unit's file, its mark and its record; nothing if the file is not ours.
    pub fn remove(&self, name: &UnitName) -> Result<(), FileError> {
        let record = self.record(name);
        if !record.exists() {
            return Ok(());
        }
        remove(&self.path(name))?;
        self.unfence(name)?;
        self.unmark(name)?;
        remove(&record)
    }

    /// Notes that systemd was asked to start the unit.
    pub fn mark(&self, name: &UnitName) -> Result<(), FileError> {
        self.put_mark(name, "")
    }

    /// Notes that systemd is about to be asked to stop the unit, if it was asked to start it.
    pub fn mark_stopping(&self, name: &UnitName) -> Result<(), FileError> {
        match self.mark_of(name).exists() {
            true => self.put_mark(name, STOPPING),
            false => Ok(()),
        }
    }

    /// Notes that the unit was stopped.
    pub fn unmark(&self, name: &UnitName) -> Result<(), FileError> {
        remove(&self.mark_of(name))
    }

    fn look(&self, name: UnitName) -> Option<(UnitName, Found)> {
        let path = self.record(&name);
        let text = fs::read_to_string(&path);
        let Some(recorded) = text.ok().and_then(|text| text.trim().parse().ok()) else {
            tracing::warn!(path = %path.display(), "a record that cannot be read; leaving it alone");
            return None;
        };
        let mark = self.mark_of(&name);
        let launched = mark.exists();
        let found = Found {
            hash: self.hash(&name, recorded, launched),
            launched,
            stopping: fs::read(&mark).is_ok_and(|text| text == STOPPING.as_bytes()),
        };
        Some((name, found))
    }

    /// Which file is there. One that somebody edited counts as what we wrote while its unit has been started:
    /// nothing is stopped for an edit. Otherwise it is as good as missing, and will be written again.
    fn hash(&self, name: &UnitName, recorded: Hash, launched: bool) -> Option<Hash> {
        let path = self.path(name);
        let text = fs::read_to_string(&path).ok()?;
        if Hash::of(&text) == recorded {
            return Some(recorded);
        }
        tracing::warn!(path = %path.display(), launched, "not the unit file that was written");
        launched.then_some(recorded)
    }

    fn name_of(&self, record: &Path) -> Option<UnitName> {
        let name = record.file_name()?.to_str()?;
        if name == ASIDE {
            return None;
        }
        let parsed = UnitName::parse(name);
        if let Err(error) = &parsed {
            tracing::warn!(path = %record.display(), %error, "not a unit's record; leaving it alone");
        }
        parsed.ok()
    }

    pub(crate) fn put(&self, path: &Path, text: &str) -> Result<(), FileError> {
        let aside = path.with_file_name(ASIDE);
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&aside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&aside, path));
        written.or_else(failed("writing", path))
    }

    fn put_mark(&self, name: &UnitName, text: &str) -> Result<(), FileError> {
        let path = self.mark_of(name);
        fs::write(&path, text).or_else(failed("writing mark", &path))
    }

    fn record(&self, name: &UnitName) -> PathBuf {
        self.directories.records.join(name.as_str())
    }

    fn mark_of(&self, name: &UnitName) -> PathBuf {
        self.directories.marks.join(name.as_str())
    }
}

/// Whether a file says just that. Some are looked at so often that each system call counts: one byte more than there should be
/// is asked for, and neither the file's length nor its end.
pub(crate) fn says(path: &Path, text: &str) -> io::Result<bool> {
    let mut there = vec![0; text.len() + 1];
    let length = File::open(path)?.read(&mut there)?;
    Ok(there[..length] == *text.as_bytes())
}

pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.or_else(failed("removing", path)),
    }
}

pub(crate) fn failed<T>(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> Result<T, FileError> {
    let path = path.to_owned();
    move |source| {
        Err(FileError::Io {
            operation,
            path,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Place {
        files: UnitFiles,
        _folder: tempfile::TempDir,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let directories = Directories {
            units: folder.path().join("units"),
            records: folder.path().join("records"),
            marks: folder.path().join("marks"),
            runtime_units: folder.path().join("runtime"),
        };
        let files = UnitFiles::open(directories).unwrap();
        Place {
            files,
            _folder: folder,
        }
    }

    fn unit(name: &str) -> UnitName {
        UnitName::parse(name).unwrap()
    }

    fn file(command: &str) -> UnitFile {
        UnitFile::parse(format!("[Service]\nExecStart={command}\n").as_bytes()).unwrap()
    }

    #[test]
    fn what_was_written_is_found_again() {
        let at = place();
        let (web, text) = (unit("web.service"), file("/bin/true"));
        at.files.write(&web, &text).unwrap();
        at.files.mark(&web).unwrap();
        let found = at.files.scan().unwrap();
        assert_eq!(
            found[&web],
            Found {
                hash: Some(text.hash()),
                launched: true,
                stopping: false,
            }
        );
        assert_eq!(
            fs::read_to_string(at.files.path(&web)).unwrap(),
            text.to_string()
        );
        at.files.remove(&web).unwrap();
        assert!(at.files.scan().unwrap().is_empty());
        assert!(!at.files.path(&web).exists());
    }

    #[test]
    fn a_file_that_is_not_ours_is_neither_overwritten_nor_removed() {
        let at = place();
        let ssh = unit("ssh.service");
        fs::write(at.files.path(&ssh), "somebody's").unwrap();
        let error = at.files.write(&ssh, &file("/bin/true")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("ssh.service is there already and is not fleet's")
        );
        at.files.remove(&ssh).unwrap();
        assert_eq!(
            fs::read_to_string(at.files.path(&ssh)).unwrap(),
            "somebody's"
        );
        assert!(at.files.scan().unwrap().is_empty());
    }

    #[test]
    fn a_dangling_link_is_a_file_that_is_not_ours() {
        let at = place();
        let web = unit("web.service");
        std::os::unix::fs::symlink("/nowhere", at.files.path(&web)).unwrap();
        assert!(matches!(
            at.files.write(&web, &file("/bin/true")),
            Err(FileError::Foreign(_))
        ));
    }

    #[test]
    fn an_edited_file_counts_as_ours_once_started_and_is_written_again_otherwise() {
        let at = place();
        let (web, text) = (unit("web.service"), file("/bin/true"));
        at.files.write(&web, &text).unwrap();
        fs::write(at.files.path(&web), "edited").unwrap();
        assert_eq!(at.files.scan().unwrap()[&web].hash, None);
        at.files.mark(&web).unwrap();
        assert_eq!(at.files.scan().unwrap()[&web].hash, Some(text.hash()));
    }

    #[test]
    fn a_crash_between_record_and_file_leaves_a_unit_that_can_be_written_again() {
        let at = place();
        let (web, text) = (unit("web.service"), file("/bin/true"));
        at.files
            .put(&at.files.record(&web), &text.hash().to_string())
            .unwrap();
        assert_eq!(
            at.files.scan().unwrap()[&web],
            Found {
                hash: None,
                launched: false,
                stopping: false,
            }
        );
        at.files.write(&web, &text).unwrap();
        assert_eq!(at.files.scan().unwrap()[&web].hash, Some(text.hash()));
    }

    #[test]
    fn garbage_among_the_records_is_left_alone() {
        let at = place();
        let records = &at.files.directories.records;
        fs::write(records.join("web.service"), "no hash").unwrap();
        fs::write(records.join("not a unit"), "x").unwrap();
        fs::create_dir(records.join("dir.service")).unwrap();
        assert!(at.files.scan().unwrap().is_empty());
        assert!(records.join("web.service").exists());
    }
}
