//! What fenced units have beside their files: what binds them to the machine's lease, and their fencing token.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fleet::fence::{STOP_TIMEOUT, stop_time, stop_timeout};
use fleet::{Requirements, requirements};
use unitfile::{UnitFile, UnitName};

use super::{FileError, UnitFiles, failed, remove, says};
use crate::systemd::{LEASE_END, LEASE_TARGET};

/// The last in the order of names, in which systemd reads them: it has the last word.
const DROP_IN: &str = "zz-fleet-fence.conf";
/// systemd takes no notice of it among the drop-ins; they name it.
const TOKEN: &str = "fleet-fence.env";

impl UnitFiles {
    /// The unit's file, if the unit is fenced.
    pub(crate) fn fenced(&self, name: &UnitName) -> Option<UnitFile> {
        let (file, wanted) = self.with_requirements(name)?;
        wanted.fence.then_some(file)
    }

    /// After how many failures the unit is to be moved, if at all.
    pub(crate) fn reschedule_after(&self, name: &UnitName) -> Option<u32> {
        self.requirements(name).reschedule_after
    }

    /// Whether the unit is to be up elsewhere before it is stopped here, when it is moved.
    pub(crate) fn starts_first(&self, name: &UnitName) -> bool {
        self.requirements(name).start_first
    }

    /// What the unit asks of its machine.
    pub(crate) fn requirements(&self, name: &UnitName) -> Requirements {
        let wanted = self.with_requirements(name);
        wanted.map(|(_, wanted)| wanted).unwrap_or_default()
    }

    /// The unit's file, if that asks for anything.
    fn with_requirements(&self, name: &UnitName) -> Option<(UnitFile, Requirements)> {
        let bytes = fs::read(self.path(name)).ok()?;
        // most do not, and to parse them all would cost
        if !String::from_utf8_lossy(&bytes).contains(requirements::SECTION) {
            return None;
        }
        let file = UnitFile::parse(&bytes).ok()?;
        let wanted = Requirements::of(name, &file);
        Some((file, wanted))
    }

    /// Binds a unit to the machine's lease and tells it its fencing token. Whether systemd must read that anew.
    pub(crate) fn fence(
        &self,
        name: &UnitName,
        file: &UnitFile,
        token: i64,
    ) -> Result<bool, FileError> {
        let folder = self.drop_ins(name);
        fs::create_dir_all(&folder).or_else(failed("creating directory", &folder))?;
        let token = format!("FLEET_FENCING_TOKEN={token}\n");
        self.keep(&folder.join(TOKEN), &token)?;
        self.keep(&folder.join(DROP_IN), &self.drop_in(name, file))
    }

    /// Makes the units that stand for the machine's lease, and for its end. Whether systemd must read them anew.
    pub(crate) fn lease_units(&self) -> Result<bool, FileError> {
        let folder = &self.directories.runtime_units;
        let script = folder.join("fleet-lease-end.sh");
        self.keep(&script, include_str!("lease-end.sh"))?;
        let end = format!("{END}ExecStart=/bin/sh {}\n", specifiers_escaped(&script));
        let target = self.keep(&folder.join(LEASE_TARGET), TARGET)?;
        Ok(self.keep(&folder.join(LEASE_END), &end)? || target)
    }

    /// Whether the unit has a fencing token: since this boot has claimed it, and until it is given back.
    pub(crate) fn has_token(&self, name: &UnitName) -> bool {
        self.drop_ins(name).join(TOKEN).exists()
    }

    /// Nobody starts the unit from here on, be it by hand: its token is gone.
    pub(crate) fn take_token(&self, name: &UnitName) -> Result<(), FileError> {
        remove(&self.drop_ins(name).join(TOKEN))
    }

    /// Takes away all that a fenced unit has beside its file.
    pub(crate) fn unfence(&self, name: &UnitName) -> Result<(), FileError> {
        let folder = self.drop_ins(name);
        if !folder.join(DROP_IN).exists() {
            return Ok(());
        }
        self.take_token(name)?;
        remove(&folder.join(DROP_IN))?;
        match fs::remove_dir(&folder) {
            // somebody else has a drop-in there
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.or_else(failed("removing directory", &folder)),
        }
    }

    /// Whether it was another text before.
    fn keep(&self, path: &Path, text: &str) -> Result<bool, FileError> {
        if says(path, text).unwrap_or(false) {
            return Ok(false);
        }
        self.put(path, text)?;
        Ok(true)
    }

    /// What the unit's stop was reckoned by holds, whatever other drop-ins say.
    fn drop_in(&self, name: &UnitName, file: &UnitFile) -> String {
        let token = specifiers_escaped(&self.drop_ins(name).join(TOKEN));
        let each = stop_timeout(file).unwrap_or(STOP_TIMEOUT).as_secs();
        let whole = stop_time(name, file).unwrap_or(STOP_TIMEOUT).as_secs();
        let kill = match file.values("Service", "KillMode").last() {
            Some("mixed") => "mixed",
            _ => "control-group",
        };
        format!(
            "# fleet's, because of Fence=yes: gone with the machine's lease\n[Unit]\nRequisite={LEASE_TARGET}\n\
             After={LEASE_TARGET}\n[Service]\nEnvironmentFile={token}\nTimeoutStopSec={each}\n\
             TimeoutStopFailureMode=terminate\nKillMode={kill}\nSendSIGKILL=yes\nFinalKillSignal=SIGKILL\n\
             [X-Fleet-Fence]\nStopSec={whole}\n"
        )
    }

    fn drop_ins(&self, name: &UnitName) -> PathBuf {
        self.directories.runtime_units.join(format!("{name}.d"))
    }
}

/// As it stands in a unit file, where '%' begins a specifier.
fn specifiers_escaped(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

const TARGET: &str = "# fleet's: there as long as the lease of this machine is\n[Unit]\n\
                      Description=The lease of this machine in its fleet\n";

const END: &str = "# fleet's: started by a timer when the lease of this machine has ended\n[Unit]\n\
                   Description=The end of this machine's lease in its fleet\n[Service]\n";
