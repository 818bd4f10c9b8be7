//! The sockets of the API: those that systemd hands over, or else one at fleet's old place.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Where the API is when systemd hands no socket over; fleetctl looks there too.
pub const DEFAULT_SOCKET: &str = "/var/run/fleet.sock";

/// As in fleet.socket: who may use this socket may run anything as root on every machine.
const SOCKET_MODE: u32 = 0o660;

/// A socket that takes connections to the API.
#[derive(Debug)]
pub enum Listener {
    /// On this machine.
    Unix(UnixListener),
    /// On the network.
    Tcp(TcpListener),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A socket from systemd cannot be used.
    #[error("taking over socket {index} from systemd")]
    Handed {
        /// Which one, from 0.
        index: usize,
        /// What the operating system says.
        source: io::Error,
    },
    /// Somebody serves there already.
    #[error("somebody listens on {} already", .0.display())]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("listening on {}", .path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// The sockets from systemd; if there are none, one at `path`.
///
/// # Errors
/// A socket from systemd is neither unix nor tcp, or the one at `path` cannot be made or is in use.
pub async fn listeners(path: &Path) -> Result<Vec<Listener>, SocketError> {
    let mut handed = ListenFd::from_env();
    if handed.len() == 0 {
        return Ok(vec![Listener::Unix(listen(path).await?)]);
    }
    (0..handed.len())
        .map(|index| {
            take(&mut handed, index).map_err(|source| SocketError::Handed { index, source })
        })
        .collect()
}

/// A socket of the wrong family is an error that leaves the socket for the next try.
fn take(handed: &mut ListenFd, index: usize) -> io::Result<Listener> {
    if let Ok(Some(socket)) = handed.take_unix_listener(index) {
        socket.set_nonblocking(true)?;
        return Ok(Listener::Unix(UnixListener::from_std(socket)?));
    }
    let socket = handed.take_tcp_listener(index)?;
    let socket = socket.ok_or_else(|| io::Error::other("it was taken already"))?;
    socket.set_nonblocking(true)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket)?))
}

async fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(SocketError::InUse(path.into()));
    }
    make_socket(path).map_err(|source| SocketError::Listen {
        path: path.into(),
        source,
    })
}

fn make_socket(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    remove_dead_socket(path)?;
    let socket = unix::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

fn remove_dead_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it is no socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/fleet.sock");
        let first = listen(&path).await.unwrap();
        assert!(matches!(listen(&path).await, Err(SocketError::InUse(_))));
        drop(first);
        listen(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(
            listen(&path).await,
            Err(SocketError::Listen { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
