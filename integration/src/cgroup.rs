//! Control groups: every process of a lab is in one, so it can be found, frozen and ended for certain.
//!
//! Version 2 does the work (`cgroup.kill`, `cgroup.freeze`). On a host that also mounts version 1's `name=systemd`
//! hierarchy, a machine needs a group there as well: systemd-nspawn reads its own place from it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{Process, wait_for};

/// The group `flotilla-lab/LAB/NAME`.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    place: PathBuf,
}

impl Cgroup {
    /// Makes the group that all groups of a lab are in.
    pub(crate) fn create_for_lab(lab: &str) -> Result<()> {
        hierarchies()
            .map(|top| top.join("flotilla-lab").join(lab))
            .try_for_each(|path| {
                fs::create_dir_all(&path)
                    .with_context(|| format!("making control group {}", path.display()))
            })
    }

    /// The group of that name in a lab, existing or not.
    pub(crate) fn of(lab: &str, name: &str) -> Cgroup {
        Cgroup {
            place: Path::new("flotilla-lab").join(lab).join(name),
        }
    }

    /// A command whose process enters the group before it turns into `program`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        const ENTER: &str = r#"
            while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done
            shift; exec "$@""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ENTER, "enter"]).args(self.places());
        command.arg("--").arg(program);
        command
    }

    /// Makes the group, unless it is there; in a lab that is gone it fails.
    pub(crate) fn create(&self) -> Result<()> {
        self.places()
            .try_for_each(|path| match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                made => made.with_context(|| format!("making control group {}", path.display())),
            })
    }

    /// Its folders, one a hierarchy.
    fn places(&self) -> impl Iterator<Item = PathBuf> {
        hierarchies().map(|top| top.join(&self.place))
    }

    /// SIGKILL to all its processes at once, and waits until they are gone.
    pub(crate) fn kill(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.write("cgroup.kill", "1")?;
        self.wait_empty(Duration::from_secs(10))
    }

    /// Waits until its last process has ended.
    pub(crate) fn wait_empty(&self, limit: Duration) -> Result<()> {
        let what = format!("the processes of {} to end", self.place.display());
        wait_for(&what, limit, || {
            if self.is_empty() {
                Ok(())
            } else {
                Err(self.describe())
            }
        })
    }

    /// Whether no process is in it, nor in a group below.
    pub(crate) fn is_empty(&self) -> bool {
        let events = fs::read_to_string(self.path().join("cgroup.events")).unwrap_or_default();
        !events.lines().any(|line| line == "populated 1")
    }

    /// Stops all its processes where they are, or lets them go on; returns when that is done.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let wish = u8::from(frozen);
        self.write("cgroup.freeze", &wish.to_string())?;
        let what = format!("{} to be frozen: {frozen}", self.place.display());
        wait_for(&what, Duration::from_secs(10), || {
            let events = fs::read_to_string(self.path().join("cgroup.events")).unwrap_or_default();
            if events.lines().any(|line| line == format!("frozen {wish}")) {
                Ok(())
            } else {
                Err(events)
            }
        })
    }

    /// All processes in it and in the groups below.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut found = Vec::new();
        collect(&self.path(), &mut found);
        found
    }

    fn describe(&self) -> String {
        let list = self.processes();
        let names: Vec<_> = list.iter().filter_map(Process::program).collect();
        format!("{} processes ({})", names.len(), names.join(", "))
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.path().join(file);
        fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
    }

    fn path(&self) -> PathBuf {
        unified().join(&self.place)
    }
}

fn collect(group: &Path, found: &mut Vec<Process>) {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    found.extend(
        members
            .lines()
            .filter_map(|line| Process::of(line.parse().ok()?)),
    );
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
}

/// Where version 2 is mounted: alone, or beside version 1.
fn unified() -> PathBuf {
    let beside = Path::new("/sys/fs/cgroup/unified");
    if beside.exists() {
        beside.into()
    } else {
        "/sys/fs/cgroup".into()
    }
}

fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let old = Path::new("/sys/fs/cgroup/systemd");
    std::iter::once(unified()).chain(old.exists().then(|| old.into()))
}
