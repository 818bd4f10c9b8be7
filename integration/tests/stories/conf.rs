//! What old installations bring along: their fleet.conf, and how they run fleetd.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{Backing, Cluster, Fleet, Lab, Machine, wait_for};

use crate::told::SLEEP;

/// The sample that the original shipped, filled in as people did.
const OLD: [&str; 14] = [
    "# fleet.conf of a cluster of 2015",
    "verbosity=1",
    "etcd_key_prefix=_coreos.com/fleet",
    "etcd_request_timeout=2.0",
    "engine_reconcile_interval=2",
    "metadata=\"region=us-west,az=us-west-1\"",
    "agent_ttl=\"10s\"",
    "units_directory=\"/run/fleet/units/\"",
    "systemd_user=false",
    "token_limit=50",
    "enable_grpc=false",
    "disable_engine=false",
    "disable_watches=true",
    "authorized_keys_file=/home/core/.ssh/authorized_keys",
];

fn old_fleet() -> Result<Fleet> {
    Ok(OLD
        .iter()
        .fold(Fleet::built()?, |fleet, line| fleet.conf(*line)))
}

fn is_there(machine: &Machine, path: &str) -> Result<bool> {
    Ok(machine.run(["test", "-e", path])?.status.success())
}

#[test]
fn an_old_fleet_conf_works_as_it_is_and_units_lie_where_it_says() -> Result<()> {
    let mut cluster = Cluster::boot(Lab::unique("oldconf")?, 1, Backing::Etcd, &old_fleet()?)?;
    cluster.start(
        "a.service",
        &format!("{SLEEP}[Install]\nWantedBy=multi-user.target\n"),
    )?;
    let m1 = cluster.machine("m1")?;
    ensure!(is_there(m1, "/run/fleet/units/a.service")?);
    ensure!(
        is_there(m1, "/run/systemd/system/a.service")?,
        "systemd looks there"
    );
    ensure!(is_there(
        m1,
        "/run/systemd/system/multi-user.target.wants/a.service"
    )?);
    let log = m1.journal("fleet.service")?;
    ensure!(
        log.contains("Config option authorized_keys_file is no longer supported - ignoring"),
        "{log}"
    );

    let pid = m1.main_pid("a.service")?;
    m1.read(["systemctl", "restart", "fleet.service"])?;
    cluster.wait_for_members(1)?;
    ensure!(
        m1.main_pid("a.service")? == pid,
        "a restart of fleetd is none of its units"
    );

    cluster.write_unit("a.service", "[Service]\nExecStart=/bin/sleep 12345\n")?;
    cluster.fleetctl("start --replace a.service")?;
    ensure!(
        m1.property("a.service", "ExecStart")?.contains("12345"),
        "the new text runs"
    );
    cluster.fleetctl("stop a.service")?;
    cluster.fleetctl("destroy a.service")?;
    cluster.wait_where("a.service", "is gone", |rows| rows.is_empty().then_some(()))?;
    for path in [
        "/run/fleet/units/a.service",
        "/run/systemd/system/a.service",
    ] {
        ensure!(!is_there(m1, path)?, "{path} is left behind");
    }

    cluster.start("b.service", SLEEP)?;
    cluster.machine("m1")?.kill()?;
    cluster.machine("m1")?.boot()?;
    cluster.wait_for_members(1)?;
    ensure!(
        cluster.wait_active("b.service")? == "m1",
        "it is its own again after the power loss"
    );
    cluster.grow(1, &old_fleet()?)
}

#[test]
fn a_reload_takes_what_changed_and_touches_no_unit() -> Result<()> {
    let fleet = Fleet::built()?.conf("agent_ttl=5s");
    let cluster = Cluster::boot(Lab::unique("reload")?, 1, Backing::EmbeddedStore, &fleet)?;
    cluster.start("a.service", SLEEP)?;
    let m1 = cluster.machine("m1")?;
    let witnesses =
        || -> Result<_> { Ok((m1.main_pid("fleet.service")?, m1.main_pid("a.service")?)) };
    let before = witnesses()?;
    let conf = String::from_utf8(m1.read_file("/etc/fleet/fleet.conf")?)?;

    m1.write_file(
        "/etc/fleet/fleet.conf",
        conf.replace("metadata=name=m1", "metadata=name=m1,disk=ssd"),
    )?;
    m1.read(["systemctl", "reload", "fleet.service"])?;
    let metadata = |text: &'static str| {
        wait_for(&format!("metadata {text}"), Duration::from_secs(10), || {
            let table = cluster.fleetctl("list-machines --no-legend --fields=metadata");
            let table = table.map_err(|error| format!("{error:#}"))?;
            if table.trim() == text {
                Ok(())
            } else {
                Err(table)
            }
        })
    };
    metadata("disk=ssd,name=m1")?;
    // one that makes no sense changes nothing, and is named
    m1.write_file("/etc/fleet/fleet.conf", format!("{conf}token_limit=many\n"))?;
    m1.read(["systemctl", "reload", "fleet.service"])?;
    wait_for("the complaint", Duration::from_secs(10), || {
        let log = m1
            .journal("fleet.service")
            .map_err(|error| format!("{error:#}"))?;
        if log.contains("option token_limit: invalid value \"many\"") {
            Ok(())
        } else {
            Err(log)
        }
    })?;
    metadata("disk=ssd,name=m1")?;
    // what is gone from the file is the default again
    m1.write_file("/etc/fleet/fleet.conf", conf)?;
    m1.read(["systemctl", "reload", "fleet.service"])?;
    metadata("name=m1")?;
    ensure!(witnesses()? == before, "nothing was restarted");
    Ok(())
}

/// fleetd as a service of a user's systemd.
const USER_FLEET: &str = "[Service]\nType=notify\nExecStart=/usr/local/bin/fleetd --config /home/core/fleet.conf\n\
                          Restart=no\n";

#[test]
fn a_users_systemd_can_be_the_one_that_is_worked_with() -> Result<()> {
    let mut lab = Lab::unique("user")?;
    let fleet = Fleet::built()?;
    lab.boot_with(1, |machine| machine.install(&fleet))?;
    let m1 = lab.machine("m1")?;
    m1.read([
        "systemctl",
        "disable",
        "--now",
        "fleet.socket",
        "fleet.service",
    ])?;
    let operator = lab.operator(fleet.programs())?;
    operator.is_let_in_by(m1)?;
    m1.write_file(
        "/home/core/fleet.conf",
        "systemd_user=true\nembedded_store=true\npublic_ip=10.99.0.11\n",
    )?;
    m1.write_file("/home/core/.config/systemd/user/fleet.service", USER_FLEET)?;
    m1.write_file("/home/core/a.service", SLEEP)?;
    m1.read(["chown", "-R", "core:core", "/home/core"])?;
    m1.read(["loginctl", "enable-linger", "core"])?;
    let as_user = |line: &str| {
        let line = format!(
            "cd; export XDG_RUNTIME_DIR=/run/user/500 FLEETCTL_ENDPOINT=unix:///run/user/500/fleet.sock; {line}"
        );
        m1.read(["runuser", "-u", "core", "--", "sh", "-c", &line])
    };
    wait_for("the user's systemd", Duration::from_secs(20), || {
        as_user("systemctl --user start fleet.service").map_err(|error| format!("{error:#}"))
    })?;

    wait_for("the unit to run", Duration::from_secs(20), || {
        as_user("HOME=/home/core fleetctl start a.service").map_err(|error| format!("{error:#}"))
    })?;
    let state = as_user("systemctl --user show --value -p ActiveState,FragmentPath a.service")?;
    ensure!(
        state == "active\n/home/core/.config/systemd/user/a.service",
        "{state}"
    );
    ensure!(
        m1.property("a.service", "LoadState")? == "not-found",
        "the machine's own systemd knows nothing of it"
    );
    as_user("systemctl --user restart fleet.service")?;
    ensure!(as_user("systemctl --user is-active a.service")? == "active");
    as_user("systemctl --user stop fleet.service")?;
    let gone = as_user("systemctl --user is-active a.service || true")?;
    ensure!(
        gone == "inactive",
        "fleetd leaves and takes its units along: {gone}"
    );
    Ok(())
}
