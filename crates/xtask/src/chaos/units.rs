//! What the cluster runs while things go wrong.

use anyhow::Result;
use integration::Cluster;

/// A unit, and what is expected of it.
pub(super) struct Unit {
    /// Its name.
    pub(super) name: String,
    /// Where it belongs.
    pub(super) home: Home,
    /// It runs once and is done.
    pub(super) once: bool,
}

/// Where a unit belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Home {
    /// On one machine, any.
    One,
    /// On this machine and no other.
    Only(String),
    /// On every machine.
    Every,
}

const SERVICE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Writes the unit files, starts the units, and tells what they are.
pub(super) fn start(cluster: &Cluster) -> Result<Vec<Unit>> {
    let mut units = Vec::new();
    let mut add = |name: &str, home: Home| {
        units.push(Unit {
            name: name.to_owned(),
            once: name == "once.service",
            home,
        });
    };
    for machine in ["m1", "m2", "m4"] {
        let name = format!("pinned-{machine}.service");
        let id = cluster.machine(machine)?.id();
        cluster.write_unit(&name, &format!("{SERVICE}[X-Fleet]\nMachineID={id}\n"))?;
        add(&name, Home::Only(machine.to_owned()));
    }
    for name in ["watch.service", "ship.service"] {
        cluster.write_unit(name, &format!("{SERVICE}[X-Fleet]\nGlobal=true\n"))?;
        add(name, Home::Every);
    }
    cluster.write_unit("web@.service", SERVICE)?;
    for number in 1..=6 {
        add(&format!("web@{number}.service"), Home::One);
    }
    for (name, text) in [
        (
            "beside.service",
            format!("{SERVICE}[X-Fleet]\nMachineOf=web@1.service\n"),
        ),
        (
            "once.service",
            "[Service]\nType=oneshot\nExecStart=/bin/true\n".to_owned(),
        ),
        ("slow.service", format!("{SERVICE}ExecStop=/bin/sleep 3\n")),
    ] {
        cluster.write_unit(name, &text)?;
        add(name, Home::One);
    }
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    cluster.fleetctl(&format!("start {}", names.join(" ")))?;
    Ok(units)
}
