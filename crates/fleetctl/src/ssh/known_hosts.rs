//! The file of known host keys.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;

use tokio::net::lookup_host;
use tokio::process::Command;

use super::Hop;

/// Makes the folder that the file lies in: ssh makes the file, but not that.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_folder(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent() else {
        return Ok(());
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}

/// The entry by which a host is known, if not by its name: fleetctl of old wrote addresses down, and nothing else.
pub(super) async fn alias(file: &Path, hop: &Hop) -> Option<String> {
    let is_address = hop.host.parse::<IpAddr>().is_ok();
    if is_address || has(file, &entry(&hop.host, hop.port)).await {
        return None;
    }
    for address in lookup_host((hop.host.as_str(), hop.port)).await.ok()? {
        let entry = entry(&address.ip().to_string(), hop.port);
        if has(file, &entry).await {
            return Some(entry);
        }
    }
    None
}

fn entry(host: &str, port: u16) -> String {
    match port {
        22 => host.to_owned(),
        _ => format!("[{host}]:{port}"),
    }
}

/// Whether the file has a key for that; hashed entries and patterns are OpenSSH's to read.
async fn has(file: &Path, entry: &str) -> bool {
    let mut find = Command::new("ssh-keygen");
    find.args(["-F", entry, "-f"]).arg(file);
    find.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    find.status().await.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Hop, alias};

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINnsG7y/IwoAWmAcQ6XqXpPrJdCrLGeMaDJSgkwIJjJ+";

    #[tokio::test]
    async fn a_host_that_is_known_by_its_address_only_goes_by_that() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known hosts");
        let alias = async |text: &str| alias(&file, &Hop::parse(text).unwrap()).await;
        assert_eq!(alias("localhost").await, None, "there is no file");

        std::fs::write(&file, format!("127.0.0.1 {KEY}\n[127.0.0.1]:2222 {KEY}\n")).unwrap();
        assert_eq!(alias("localhost").await.as_deref(), Some("127.0.0.1"));
        assert_eq!(
            alias("localhost:2222").await.as_deref(),
            Some("[127.0.0.1]:2222")
        );
        assert_eq!(alias("localhost:23").await, None);
        assert_eq!(alias("127.0.0.1").await, None, "it is an address");

        std::fs::write(&file, format!("127.0.0.1 {KEY}\nlocalhost {KEY}\n")).unwrap();
        assert_eq!(alias("localhost").await, None, "its name is known");
    }
}
