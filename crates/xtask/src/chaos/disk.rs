//! A full disk, made of a small tmpfs that lies over a directory of fleetd's for a while.

use anyhow::Result;
use integration::Machine;

use super::fault::Directory;

/// The directory's files go on a disk of just their size, and the rest of that is filled.
const FILL: &str = r#"
    mkdir -p /run/chaos/disk
    mount -t tmpfs -o size=256k tmpfs /run/chaos/disk
    cp -a "$1/." /run/chaos/disk/
    # it ends when the disk is full
    dd if=/dev/zero of=/run/chaos/disk/.filler bs=4k 2>/dev/null || true
    mount --bind /run/chaos/disk "$1"
    umount /run/chaos/disk
"#;

/// What the directory has by now goes where it was before: the parent's own mount shows what the tmpfs hides.
const CLEAR: &str = r#"
    rm -f "$1/.filler"
    mkdir -p /run/chaos/below
    mount --bind "${1%/*}" /run/chaos/below
    below=/run/chaos/below/${1##*/}
    find "$below" -mindepth 1 -delete
    cp -a "$1/." "$below/"
    umount /run/chaos/below
    umount "$1"
"#;

/// Fills the disk that a directory is on.
///
/// # Errors
/// The machine is down, or a mount fails.
pub(super) fn fill(machine: &Machine, directory: Directory) -> Result<()> {
    swap(machine, FILL, directory)
}

/// Makes room again, and leaves the directory as fleetd has it by then.
///
/// # Errors
/// As [`fill`].
pub(super) fn clear(machine: &Machine, directory: Directory) -> Result<()> {
    swap(machine, CLEAR, directory)
}

/// fleetd holds still meanwhile: what it wrote between the copy and the mount would be lost, as on no disk.
fn swap(machine: &Machine, script: &str, directory: Directory) -> Result<()> {
    machine.freeze("fleetd")?;
    let done = machine.read(["sh", "-euc", script, "swap", directory.path()]);
    machine.thaw("fleetd")?;
    done.map(drop)
}
