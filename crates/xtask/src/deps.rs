//! The Debian packages that building, testing and the lab need.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// What the build needs, then what the lab needs.
const PACKAGES: [&str; 13] = [
    "gcc",
    "libc6-dev",
    "protobuf-compiler",
    "libprotobuf-dev",
    "systemd-container",
    "dbus",
    "iproute2",
    "etcd-server",
    "etcd-client",
    "openssh-client",
    "openssh-server",
    "curl",
    "python3-venv",
];

/// Installs the packages that are missing, and says which.
///
/// # Errors
/// Not Debian, not root, or `apt-get` fails.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing(&PACKAGES)?;
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing the Debian packages {}", missing.join(", "));
    let root = nix::unistd::geteuid().is_root();
    ensure!(
        root,
        "installing packages needs root: apt-get install {}",
        missing.join(" ")
    );
    install(&missing)
}

/// Installs a package that is nice to have; says no more than whether it is there afterwards.
pub(crate) fn ensure_if_possible(package: &str) -> bool {
    match missing(&[package]) {
        Ok(missing) if missing.is_empty() => true,
        Ok(missing) => {
            println!("installing the Debian package {package}");
            install(&missing).is_ok()
        }
        Err(_) => false,
    }
}

/// Those of the packages that are not installed.
fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(packages);
    // its exit status says that some are unknown, which is no news
    let output = query.output().with_context(|| {
        format!(
            "this is no Debian: install by its own means what {} stand for",
            packages.join(", ")
        )
    })?;
    let list = String::from_utf8_lossy(&output.stdout);
    let installed: Vec<_> = list
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !installed.contains(package))
        .collect())
}

fn install(packages: &[&str]) -> Result<()> {
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn apt_get(words: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet=2")
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().context("running apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", words.join(" "));
    }
    Ok(())
}
