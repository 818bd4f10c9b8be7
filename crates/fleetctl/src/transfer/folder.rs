//! A cluster's units in a folder: a file a unit, and a manifest.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use unitfile::{UnitFile, UnitName};

use super::{Offer, Offered};

/// The manifest's name; no unit can have it.
const MANIFEST: &str = "fleet-export.json";
/// The format of the manifest; a later version that changes it counts up.
const VERSION: u32 = 1;

/// What stands in the manifest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    units: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    /// SHA-1 of the file as fleet prints it.
    hash: String,
    desired_state: String,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// The operating system refuses.
    #[error("{doing} {path:?}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody's files.
    #[error("{0:?} is not empty and holds no export: name a new folder")]
    Foreign(PathBuf),
    /// No export.
    #[error(
        "{0:?} holds no export, as there is no fleet-export.json in it; \"fleetctl submit\" takes a folder of unit files"
    )]
    NoManifest(PathBuf),
    /// A manifest that cannot be read.
    #[error("reading the manifest {path:?}")]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A manifest of a later version.
    #[error("the manifest {path:?} has version {version}, this fleetctl knows {VERSION}")]
    Version {
        /// Which.
        path: PathBuf,
        /// What it has.
        version: u32,
    },
}

type Result<T> = std::result::Result<T, FolderError>;

/// Writes the units; files of an earlier export that are not among them go. The manifest comes last, so that an
/// export that was broken off is none.
///
/// # Errors
/// The folder holds something else, or cannot be written.
pub(crate) fn write(folder: &Path, units: &[Offered]) -> Result<()> {
    fs::create_dir_all(folder).map_err(io_error("making", folder))?;
    let before = earlier(folder)?;
    let manifest = folder.join(MANIFEST);
    if before.is_some() {
        fs::remove_file(&manifest).map_err(io_error("removing", &manifest))?;
    }
    for unit in units {
        put(&folder.join(unit.name.as_str()), &unit.file.to_string())?;
    }
    let present: BTreeSet<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    let gone = before.into_iter().flat_map(|manifest| manifest.units);
    for entry in gone.filter(|entry| !present.contains(entry.name.as_str())) {
        // a name that is none was never written
        if UnitName::parse(&entry.name).is_ok() {
            remove(&folder.join(entry.name))?;
        }
    }
    put(&manifest, &print(units))
}

/// The units of an export. One whose file is missing or makes no sense is offered with the reason.
///
/// # Errors
/// The folder holds no export.
pub(crate) fn read(folder: &Path) -> Result<Vec<Offer>> {
    let manifest = manifest(folder)?.ok_or_else(|| FolderError::NoManifest(folder.to_owned()))?;
    let offer = |entry: Entry| Offer {
        unit: offered(folder, &entry),
        name: entry.name,
    };
    Ok(manifest.units.into_iter().map(offer).collect())
}

fn offered(folder: &Path, entry: &Entry) -> std::result::Result<Offered, String> {
    let name = UnitName::parse(&entry.name).map_err(|error| error.to_string())?;
    let path = folder.join(name.as_str());
    let bytes = fs::read(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let file = UnitFile::parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let desired = entry
        .desired_state
        .parse()
        .map_err(|error: fleet::unit::DesiredStateError| error.to_string())?;
    Ok(Offered {
        name,
        file,
        desired,
    })
}

/// The manifest of the export that the folder holds; none if it is empty.
fn earlier(folder: &Path) -> Result<Option<Manifest>> {
    let found = manifest(folder)?;
    let mut entries = fs::read_dir(folder).map_err(io_error("reading", folder))?;
    match (&found, entries.next()) {
        (None, Some(_)) => Err(FolderError::Foreign(folder.to_owned())),
        _ => Ok(found),
    }
}

fn manifest(folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("reading", &path)(error)),
    };
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|source| FolderError::Manifest {
            path: path.clone(),
            source,
        })?;
    match manifest.version {
        VERSION => Ok(Some(manifest)),
        version => Err(FolderError::Version { path, version }),
    }
}

fn print(units: &[Offered]) -> String {
    let entry = |unit: &Offered| Entry {
        name: unit.name.to_string(),
        hash: unit.file.hash().to_string(),
        desired_state: unit.desired.to_string(),
    };
    let manifest = Manifest {
        version: VERSION,
        units: units.iter().map(entry).collect(),
    };
    // a struct of texts and a number: printing it cannot fail
    serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n"
}

/// Writes a file whole or not at all.
fn put(path: &Path, text: &str) -> Result<()> {
    let failed = io_error("writing", path);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(&failed)?;
    draft.write_all(text.as_bytes()).map_err(&failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    draft.as_file().set_permissions(readable).map_err(&failed)?;
    draft
        .persist(path)
        .map(drop)
        .map_err(|error| failed(error.error))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("removing", path)(error))
        }
        _ => Ok(()),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io {
        doing,
        path: path.clone(),
        source,
    }
}
