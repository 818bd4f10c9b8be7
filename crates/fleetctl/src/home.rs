//! `~` and `~user` at the beginning of a path.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// The path with the home folder in the place of `~` or `~user`; as it stands if there is no such user.
pub(crate) fn expand(path: &str) -> PathBuf {
    expanded(path).unwrap_or_else(|| path.into())
}

fn expanded(path: &str) -> Option<PathBuf> {
    let rest = path.strip_prefix('~')?;
    let (user, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if user.is_empty() {
        own_home()
    } else {
        User::from_name(user).ok()?.map(|user| user.dir)
    };
    Some(home?.join(rest))
}

fn own_home() -> Option<PathBuf> {
    match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => Some(Path::new(&home).to_owned()),
        _ => User::from_uid(Uid::current()).ok()?.map(|user| user.dir),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::expand;

    #[test]
    fn a_tilde_is_somebodys_home() {
        assert_eq!(expand("~root/keys"), Path::new("/root/keys"));
        assert_eq!(expand("/etc/~keys"), Path::new("/etc/~keys"));
        assert_eq!(
            expand("~nobody-of-that-name/keys"),
            Path::new("~nobody-of-that-name/keys")
        );
        assert!(expand("~/keys").ends_with("keys") && !expand("~/keys").starts_with("~"));
    }
}
