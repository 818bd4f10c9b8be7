//! A machine's root: what it has of its own, over the host's `/usr`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::network::LabNetwork;
use crate::shell;

/// Files of the host's `/etc` that a machine gets a copy of, where the host has them.
const COPIED: [&str; 9] = [
    "passwd",
    "group",
    "shadow",
    "gshadow",
    "nsswitch.conf",
    "login.defs",
    "ld.so.cache",
    "ld.so.conf",
    "localtime",
];

/// Folders of the host's `/etc` that a machine sees as they are: a copy of their hundreds of files is what takes time.
const SHARED: [&str; 7] = [
    "/etc/alternatives",
    "/etc/dbus-1",
    "/etc/ld.so.conf.d",
    "/etc/pam.d",
    "/etc/polkit-1",
    "/etc/security",
    "/etc/ssl",
];

/// What has no business in a machine of the lab, or would wait for an answer at the console.
const MASKED: [&str; 14] = [
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-firstboot.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "man-db.timer",
];

/// Tests read journals right after a fault, and often many lines of them. Small files: each is allocated in full.
const JOURNAL: &str = "[Journal]\nStorage=persistent\nSystemMaxUse=64M\nSystemMaxFileSize=4M\nRateLimitIntervalSec=0\n";

/// Makes the root of a machine that has never booted, in a folder that is not there.
pub(crate) fn make(root: &Path, name: &str, id: &str, hosts: &str) -> Result<()> {
    for folder in [
        "etc/systemd/system",
        "usr/bin",
        "usr/local/bin",
        "var/log/journal",
        "run",
        "proc",
        "sys",
        "dev",
        "tmp",
    ] {
        make_folder(&root.join(folder), 0o755)?;
    }
    make_folder(&root.join("root"), 0o700)?;
    for folder in ["bin", "sbin", "lib", "lib64"] {
        link(&format!("usr/{folder}"), &root.join(folder))?;
    }
    copy_from_host(root)?;
    write(root, "etc/machine-id", &format!("{id}\n"))?;
    write(root, "etc/hostname", &format!("{name}\n"))?;
    write(
        root,
        "etc/hosts",
        &format!("127.0.0.1 localhost\n{} lab\n{hosts}", LabNetwork::ADDRESS),
    )?;
    write(root, "etc/systemd/journald.conf", JOURNAL)?;
    set_units(root)?;
    add_stand_ins(root)
}

/// Makes the layer that hides the host's `/usr/local`: a machine has one of its own.
pub(crate) fn make_veil(folder: &Path) -> Result<()> {
    make_folder(folder, 0o755)?;
    // overlayfs takes a character device 0/0 for "not there"
    shell::read(
        Command::new("mknod")
            .arg(folder.join("local"))
            .args(["c", "0", "0"]),
    )
    .map(drop)
}

fn copy_from_host(root: &Path) -> Result<()> {
    let present = |name: &&&str| Path::new("/etc").join(name).exists();
    for name in COPIED.iter().filter(present) {
        let target = root.join("etc").join(name);
        fs::copy(Path::new("/etc").join(name), &target)
            .with_context(|| format!("copying /etc/{name}"))?;
    }
    // nspawn wants the file itself: it looks before /usr is there
    let release = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    write(root, "etc/os-release", &release)
}

/// The folders of the host, besides `/usr`, that a machine sees read-only.
pub(crate) fn shared() -> impl Iterator<Item = &'static str> {
    SHARED
        .into_iter()
        .filter(|folder| Path::new(folder).exists())
}

fn set_units(root: &Path) -> Result<()> {
    let units = root.join("etc/systemd/system");
    for unit in MASKED {
        link("/dev/null", &units.join(unit))?;
    }
    link(
        "/usr/lib/systemd/system/multi-user.target",
        &units.join("default.target"),
    )
}

/// A stand-in for docker, so that unit files which call it run as they stand.
fn add_stand_ins(root: &Path) -> Result<()> {
    write(root, "usr/bin/docker", include_str!("../stand-ins/docker"))?;
    fs::set_permissions(
        root.join("usr/bin/docker"),
        PermissionsExt::from_mode(0o755),
    )?;
    write(
        root,
        "etc/systemd/system/docker.service",
        include_str!("../stand-ins/docker.service"),
    )
}

/// Raises the limits of the host that a handful of machines would run into: a machine more, and none boots.
pub(crate) fn raise_limits() -> Result<()> {
    raise("fs/inotify/max_user_instances", 8192)?;
    raise("fs/inotify/max_user_watches", 1_048_576)?;
    raise("kernel/keys/maxkeys", 20_000)?;
    raise("kernel/keys/maxbytes", 2_000_000)
}

fn raise(name: &str, least: u64) -> Result<()> {
    let path = Path::new("/proc/sys").join(name);
    let read = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    if read.trim().parse::<u64>().is_ok_and(|now| now >= least) {
        return Ok(());
    }
    fs::write(&path, least.to_string())
        .with_context(|| format!("writing {least} to {}", path.display()))
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, PermissionsExt::from_mode(mode)))
        .with_context(|| format!("making {}", path.display()))
}

fn link(target: &str, path: &Path) -> Result<()> {
    symlink(target, path).with_context(|| format!("making the link {}", path.display()))
}

fn write(root: &Path, path: &str, content: &str) -> Result<()> {
    let path = root.join(path);
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
}
