//! Making and opening the store's file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, StorageError};

use super::Cause;
use super::rows::{put_progress, put_save};
use super::tables::{IDENTITY, LEASES, META, RECORDS, Row};
use crate::Error;
use crate::proto::storepb::{Identity, Progress};
use crate::replica::{Recovered, Save};

/// The format of the file; a later version that changes it counts up.
pub(super) const FORMAT: u32 = 1;
/// The name of the file in the store's directory.
const NAME: &str = "store.redb";
/// The name of the file while it is made.
const NEW_NAME: &str = "store.redb.new";
/// Bytes of the file that redb keeps in memory. The state itself is in memory, so that the file is
/// read at the start only.
const CACHE_BYTES: usize = 4 << 20;

/// Opens the file in `dir`; makes both where there is none, for the member `identity` names.
pub(super) fn open(dir: &Path, identity: &Identity) -> Result<(PathBuf, Database), Error> {
    let in_dir = |source| Error::Directory {
        dir: dir.to_owned(),
        source,
    };
    make_dir(dir).map_err(in_dir)?;
    let path = dir.join(NAME);
    if !path.try_exists().map_err(in_dir)? {
        let new = dir.join(NEW_NAME);
        make(&new, identity)?;
        publish(&new, &path).map_err(in_dir)?;
    }
    let database = open_database(&path)?;
    Ok((path, database))
}

fn make_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Makes a file with the start of a cluster in it. What a start that was killed has left is
/// replaced.
fn make(path: &Path, identity: &Identity) -> Result<(), Error> {
    let failed = |source: Cause| Error::File {
        doing: "making",
        path: path.to_owned(),
        source,
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error.into())),
        _ => {}
    }
    let database = builder()
        .create(path)
        .map_err(|error| open_error(path, error))?;
    fill(&database, identity).map_err(failed)
}

fn fill(database: &Database, identity: &Identity) -> Result<(), Cause> {
    let write = database.begin_write()?;
    write.open_table(RECORDS)?;
    write.open_table(LEASES)?;
    let identity = Identity {
        format: FORMAT,
        ..*identity
    };
    write
        .open_table(META)?
        .insert(IDENTITY, identity.to_bytes().as_slice())?;
    let Recovered {
        hard_state,
        entries,
        applied,
    } = Recovered::genesis();
    put_save(
        &write,
        &Save {
            entries,
            hard_state: Some(hard_state),
        },
    )?;
    put_progress(
        &write,
        &Progress {
            applied,
            revision: 1,
            compacted: -1,
        },
    )?;
    Ok(write.commit()?)
}

/// Gives the whole file its name, so that under this name there is never half a file. A link, unlike
/// a renaming, does not replace what another process may have made meanwhile.
fn publish(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::remove_file(new)?,
    }
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn open_database(path: &Path) -> Result<Database, Error> {
    builder()
        .open(path)
        .map_err(|error| open_error(path, error))
}

/// Every page is checked when a file is opened: what is damaged is an error then, not a panic later.
fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    builder
}

fn open_error(path: &Path, error: DatabaseError) -> Error {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::InUse { path },
        DatabaseError::Storage(StorageError::Corrupted(reason)) => Error::Damaged { path, reason },
        DatabaseError::Storage(StorageError::Io(error)) if is_damage(&error) => Error::Damaged {
            path,
            reason: error.to_string(),
        },
        error => Error::File {
            doing: "opening",
            path,
            source: error.into(),
        },
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
