//! Disks that are full or cannot be written to: made of mounts that lie over a directory for a while.

use anyhow::Result;

use crate::Machine;

/// The directory's files go on a disk of that size.
const REPLACE: &str = r#"
    mkdir -p /run/faults/disk
    mount -t tmpfs -o size="$2" tmpfs /run/faults/disk
    cp -a "$1/." /run/faults/disk/
    if [ "$3" = full ]; then
        # it ends when the disk is full
        dd if=/dev/zero of=/run/faults/disk/.filler bs=4k 2>/dev/null || true
    fi
    mount --bind /run/faults/disk "$1"
    umount /run/faults/disk
"#;

/// What the directory has by now goes where it was before: the parent's own mount shows what the tmpfs hides.
const CLEAR: &str = r#"
    rm -f "$1/.filler"
    mkdir -p /run/faults/below
    mount --bind "${1%/*}" /run/faults/below
    below=/run/faults/below/${1##*/}
    find "$below" -mindepth 1 -delete
    cp -a "$1/." "$below/"
    umount /run/faults/below
    umount "$1"
"#;

/// The directory lies over itself. It is read-only before: what becomes of a mount later, fleetd's own namespace does not hear of.
const READ_ONLY: &str = r#"
    mkdir -p /run/faults/disk
    mount --bind "$1" /run/faults/disk
    # what is mounted over the one would else be mounted over the other
    mount --make-private /run/faults/disk
    mount -o remount,bind,ro /run/faults/disk
    mount --bind /run/faults/disk "$1"
    umount /run/faults/disk
"#;

impl Machine {
    /// Fills the disk that a directory of fleetd's is on, of which its present files take no more than 256 kB.
    ///
    /// # Errors
    /// The machine is down, or a mount fails.
    pub fn fill_disk(&self, directory: &str) -> Result<()> {
        self.while_fleetd_holds_still(REPLACE, &[directory, "256k", "full"])
    }

    /// Puts a directory of fleetd's on a disk of so many megabytes, on which its files find room.
    ///
    /// # Errors
    /// As [`fill_disk`](Self::fill_disk).
    pub fn give_small_disk(&self, directory: &str, megabytes: u32) -> Result<()> {
        let size = format!("{megabytes}m");
        self.while_fleetd_holds_still(REPLACE, &[directory, &size, "roomy"])
    }

    /// Makes room again, and leaves the directory as fleetd has it by then.
    ///
    /// # Errors
    /// As [`fill_disk`](Self::fill_disk).
    pub fn clear_disk(&self, directory: &str) -> Result<()> {
        self.while_fleetd_holds_still(CLEAR, &[directory])
    }

    /// Makes a directory one that nobody can write to.
    ///
    /// # Errors
    /// The machine is down, or a mount fails.
    pub fn write_protect(&self, directory: &str) -> Result<()> {
        self.read(["sh", "-euc", READ_ONLY, "protect", directory])
            .map(drop)
    }

    /// Makes it writable again.
    ///
    /// # Errors
    /// As [`write_protect`](Self::write_protect).
    pub fn write_enable(&self, directory: &str) -> Result<()> {
        self.read(["umount", directory]).map(drop)
    }

    /// What fleetd wrote between a copy and a mount would be lost, as on no disk. It may be dead, and started again meanwhile.
    fn while_fleetd_holds_still(&self, script: &str, arguments: &[&str]) -> Result<()> {
        let held = self.freeze("fleetd").is_ok();
        let line = ["sh", "-euc", script, "swap"].into_iter();
        let done = self.read(line.chain(arguments.iter().copied()));
        // it may have ended by itself before it could be held
        let thawed = if held {
            self.thaw("fleetd").map(drop)
        } else {
            Ok(())
        };
        done.and(thawed)
    }
}
