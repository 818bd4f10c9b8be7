//! One fleetd a machine: a lock that the kernel frees when its holder is gone, however it went.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Held for as long as this lives.
#[derive(Debug)]
pub struct MachineLock {
    _file: Flock<File>,
}

/// Why this fleetd may not run.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one runs.
    #[error("another fleetd (pid {pid}) runs on this machine and holds {}", .path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder as it wrote itself down.
        pid: String,
    },
    /// The lock file cannot be used.
    #[error("locking {}", .path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

impl MachineLock {
    /// Takes the lock, or says who has it. Makes the file and its directory where they are missing.
    ///
    /// # Errors
    /// Another process holds it, or the file cannot be used.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable {
            path: path.into(),
            source,
        };
        let file = open(path).map_err(unusable)?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(file, errno)| refused(path, file, errno))?;
        write_pid(&mut file).map_err(unusable)?;
        Ok(MachineLock { _file: file })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn refused(path: &Path, mut file: File, errno: Errno) -> LockError {
    if errno != Errno::EWOULDBLOCK {
        let source = errno.into();
        return LockError::Unusable {
            path: path.into(),
            source,
        };
    }
    let mut pid = String::new();
    // without the pid the message is poorer but still true
    let _ = file.read_to_string(&mut pid);
    let pid = match pid.trim() {
        "" => "unknown".to_owned(),
        pid => pid.to_owned(),
    };
    LockError::Held {
        path: path.into(),
        pid,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_lock_and_may_have_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/fleetd.lock");
        let first = MachineLock::take(&path).unwrap();
        let error = MachineLock::take(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            error.starts_with(&format!("another fleetd (pid {pid}) runs")),
            "{error}"
        );
        drop(first);
        MachineLock::take(&path).unwrap();
    }
}
