//! Where connections listen: a folder that is this user's alone, and that stays.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

/// A folder that only this user can look into, with a path short enough for sockets.
///
/// # Errors
/// When it cannot be made, or is not ours.
pub(super) fn for_sockets() -> io::Result<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    if let Some(folder) = own.filter(|folder| is_private(folder).unwrap_or(false)) {
        return Ok(folder);
    }
    private(PathBuf::from(format!("/tmp/fleetctl-{}", geteuid())))
}

/// The folder, made if it is not there.
fn private(folder: PathBuf) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if is_private(&folder)? {
        return Ok(folder);
    }
    let trap = format!(
        "{} is another user's, or others may look into it: remove it",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, trap))
}

fn is_private(folder: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(folder)?;
    let closed = found.permissions().mode() & 0o077 == 0;
    Ok(found.is_dir() && closed && Uid::from_raw(found.uid()) == geteuid())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::private;

    #[test]
    fn a_folder_is_made_and_one_that_others_may_look_into_is_refused() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("own");
        private(folder.clone()).unwrap();
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        private(folder.clone()).unwrap();

        symlink(&folder, here.path().join("link")).unwrap();
        assert!(private(here.path().join("link")).is_err());
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(private(folder).is_err());
    }
}
