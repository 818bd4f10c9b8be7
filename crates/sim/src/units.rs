//! The units that simulations run: what is asked of machines can be told from a unit's name.

use unitfile::{UnitFile, UnitName};

use crate::Chance;

/// The kinds of units, by the beginning of their names, each with its `[X-Fleet]` section, if it has one.
const KINDS: [(&str, &str); 10] = [
    ("plain", ""),
    ("slow", ""),
    ("pinned", "[X-Fleet]\nMachineID=m2\n"),
    ("disk", "[X-Fleet]\nMachineMetadata=disk=ssd\n"),
    ("lone", "[X-Fleet]\nConflicts=lone*\n"),
    ("peer", "[X-Fleet]\nMachineOf=plain1.service\n"),
    ("global", "[X-Fleet]\nGlobal=true\n"),
    ("fenced", "[X-Fleet]\nFence=yes\n"),
    ("smooth", "[X-Fleet]\nMoveOrder=start-first\n"),
    ("sticky", "[X-Fleet]\nSticky=true\n"),
];
/// How many units there are of each kind.
const EACH: u64 = 4;

/// A unit's name, of any kind.
pub(crate) fn any(chance: &mut Chance) -> UnitName {
    // more plain ones: they always fit
    let kind = chance.within(0..=12).saturating_sub(3) as usize;
    named(KINDS[kind].0, chance.within(1..=EACH))
}

/// The unit file of that name, of which there are several versions.
pub(crate) fn file(name: &UnitName, version: u64) -> UnitFile {
    let (kind, fleet) = kind(name.as_str());
    let slow = match kind {
        "slow" | "smooth" => "ExecStartPre=/bin/sleep 3\nExecStop=/bin/sleep 4\n",
        // systemd lets the command and two signals have five seconds each
        "fenced" if version == 2 => "ExecStop=/bin/sleep 14.9\nTimeoutStopSec=5\n",
        "fenced" => "ExecStop=/bin/sleep 4\nTimeoutStopSec=5\n",
        _ => "",
    };
    let text = format!(
        "[Unit]\nDescription={name}, version {version}\n[Service]\n{slow}ExecStart=/bin/sleep infinity\n{fleet}"
    );
    UnitFile::parse(text.as_bytes()).unwrap_or_default()
}

/// Whether a unit of this name runs on every machine that fits.
pub(crate) fn is_global(name: &str) -> bool {
    kind(name).0 == "global"
}

/// Whether there must never be two copies of a unit of this name.
pub(crate) fn is_fenced(name: &str) -> bool {
    kind(name).0 == "fenced"
}

/// Whether a unit of this name fits on any machine whatever else runs there.
pub(crate) fn always_fits(name: &str) -> bool {
    kind(name).1.is_empty()
}

fn kind(name: &str) -> (&'static str, &'static str) {
    let of_it = |(kind, _): &&(&str, &str)| name.starts_with(kind);
    KINDS.iter().find(of_it).copied().unwrap_or(KINDS[0])
}

#[expect(clippy::expect_used, reason = "a name from this table")]
fn named(kind: &str, number: u64) -> UnitName {
    UnitName::parse(&format!("{kind}{number}.service")).expect("it is a unit name")
}
