//! A unit's life: it is started, stopped, loaded, unloaded, changed, destroyed.

use anyhow::{Result, ensure};
use integration::{Backing, Cluster, Lab};

use crate::told::{self, SLEEP, stories};

stories! {
    start_stop_destroy(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let said = cluster.start("hello.service", SLEEP)?;
        ensure!(said.contains("Unit hello.service launched on "), "{said}");
        let home = cluster.wait_active("hello.service")?;
        let machine = cluster.machine(&home)?;
        ensure!(machine.property("hello.service", "ActiveState")? == "active");
        ensure!(machine.property("hello.service", "FragmentPath")? == "/etc/systemd/system/hello.service");

        cluster.fleetctl("stop hello")?;
        ensure!(machine.property("hello.service", "ActiveState")? == "inactive");
        ensure!(cluster.units()?.len() == 1, "a stopped unit stays loaded");

        cluster.fleetctl("start hello")?;
        cluster.fleetctl("unload hello")?;
        ensure!(cluster.units()?.is_empty(), "an unloaded unit is on no machine");
        ensure!(machine.read_file("/etc/systemd/system/hello.service").is_err(), "its file is gone");
        ensure!(cluster.fleetctl("list-unit-files --no-legend")?.contains("hello.service"));

        cluster.fleetctl("start hello")?;
        cluster.fleetctl("destroy hello")?;
        cluster.wait_where("hello.service", "is gone", |rows| rows.is_empty().then_some(()))?;
        ensure!(cluster.fleetctl("list-unit-files --no-legend")?.is_empty());
        let gone = machine.property("hello.service", "LoadState")?;
        ensure!(gone == "not-found", "systemd says {gone} of a destroyed unit");
        Ok(())
    }

    a_changed_file_runs_after_replace(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.start("job.service", "[Service]\nExecStart=/bin/sleep 1111\n")?;
        cluster.write_unit("job.service", "[Service]\nExecStart=/bin/sleep 2222\n")?;
        cluster.fleetctl("start --replace job.service")?;
        let home = cluster.wait_active("job.service")?;
        let line = cluster.machine(&home)?.property("job.service", "ExecStart")?;
        ensure!(line.contains("2222"), "{line}");
        Ok(())
    }

    install_links_last_until_the_next_boot(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.start("app.service", &format!("{SLEEP}[Install]\nWantedBy=multi-user.target\n"))?;
        let machine = cluster.machine("m1")?;
        ensure!(machine.read(["systemctl", "is-enabled", "app.service"])? == "enabled-runtime");
        ensure!(machine.run(["test", "-e", "/etc/systemd/system/multi-user.target.wants/app.service"])?.status.code() == Some(1));
        cluster.fleetctl("destroy app")?;
        cluster.wait_where("app.service", "is gone", |rows| rows.is_empty().then_some(()))?;
        ensure!(machine.run(["test", "-L", "/run/systemd/system/multi-user.target.wants/app.service"])?.status.code() == Some(1));
        Ok(())
    }
}

/// fleet.conf of old names a folder that systemd does not look into.
#[test]
fn units_run_from_the_directory_of_old() -> Result<()> {
    let fleet = told::fleet()?.conf("units_directory=/run/fleet/units/");
    let cluster = Cluster::boot(
        Lab::unique("old-folder")?,
        1,
        Backing::EmbeddedStore,
        &fleet,
    )?;
    cluster.start(
        "app.service",
        &format!("{SLEEP}[Install]\nWantedBy=multi-user.target\n"),
    )?;
    let machine = cluster.machine("m1")?;
    ensure!(machine.property("app.service", "ActiveState")? == "active");
    ensure!(
        machine.read_file("/run/fleet/units/app.service").is_ok(),
        "it is somewhere else"
    );
    let pid = machine.main_pid("app.service")?;
    machine.read(["systemctl", "restart", "fleet.service"])?;
    cluster.wait_for_members(1)?;
    ensure!(
        machine.main_pid("app.service")? == pid,
        "a restart of fleetd touched it"
    );

    cluster.fleetctl("destroy app")?;
    cluster.wait_where("app.service", "is gone", |rows| {
        rows.is_empty().then_some(())
    })?;
    let links = machine.read(["find", "/run/systemd/system", "-name", "app.service"])?;
    ensure!(links.is_empty(), "left behind: {links}");
    Ok(())
}
