//! Odd faults: records that make no sense, a bus that is gone, disks that take nothing.

mod store;

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::{Cluster, Machine, wait_for};

use crate::told::{SLEEP, now, stories, witnesses};

/// Where the records are, as fleet.conf has it when it says nothing.
const PREFIX: &str = "/_coreos.com/fleet/";

/// What fleetd's log says of a record that it cannot read.
const GARBAGE: &str = "ignoring a record that makes no sense";

type Witnesses = BTreeMap<String, (String, String)>;

fn start_jobs(cluster: &Cluster, count: usize) -> Result<Witnesses> {
    cluster.write_unit("job@.service", SLEEP)?;
    let names: Vec<String> = (1..=count).map(|n| format!("job@{n}.service")).collect();
    cluster.fleetctl(&format!("start {}", names.join(" ")))?;
    witnesses(cluster)
}

/// Whether every unit runs where it ran, in the process that it had: by the word of the machines' own systemd.
fn are_untouched(cluster: &Cluster, before: &Witnesses) -> Result<()> {
    for (unit, (machine, pid)) in before {
        let now = cluster.machine(machine)?.main_pid(unit)?;
        ensure!(
            now == *pid,
            "{unit} on {machine} had process {pid}, has {now}"
        );
    }
    Ok(())
}

/// Starts a unit of that name and waits until it runs: so everybody has taken in what was before, and goes on.
fn goes_on(cluster: &Cluster, name: &str) -> Result<String> {
    cluster.start(name, SLEEP)?;
    cluster.wait_active(name)
}

fn wait_for_state(cluster: &Cluster, unit: &str, active: &str) -> Result<()> {
    cluster.wait_where(unit, &format!("is {active}"), |rows| match rows {
        [row] if row.active == active => Some(()),
        _ => None,
    })
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `etcdctl` on whatever has the records.
fn etcdctl(cluster: &Cluster, words: &[&str]) -> Result<String> {
    let mut command = cluster.lab.command("etcdctl");
    command.env("ETCDCTL_API", "3");
    command
        .args(["--endpoints", &cluster.store_url()])
        .args(words);
    let output = command.output().context("running etcdctl")?;
    ensure!(
        output.status.success(),
        "etcdctl {words:?}: {}",
        complaint(&output)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn put(cluster: &Cluster, key: &str, value: &str) -> Result<()> {
    etcdctl(cluster, &["put", &format!("{PREFIX}{key}"), value]).map(drop)
}

fn get(cluster: &Cluster, key: &str) -> Result<String> {
    let value = etcdctl(
        cluster,
        &["get", "--print-value-only", &format!("{PREFIX}{key}")],
    )?;
    Ok(value.trim_end().to_owned())
}

/// One record of every kind that there is, of which units depend that run.
fn records_in_use(cluster: &Cluster, before: &Witnesses) -> Result<Vec<String>> {
    let id =
        |unit: &str| -> Result<String> { Ok(cluster.machine(&before[unit].0)?.id().to_owned()) };
    let files = etcdctl(
        cluster,
        &["get", "--prefix", "--keys-only", &format!("{PREFIX}file/")],
    )?;
    let file = files
        .lines()
        .next()
        .context("no unit file among the records")?;
    Ok(vec![
        "unit/job@1.service".to_owned(),
        format!("schedule/{}/job@2.service", id("job@2.service")?),
        "target/job@3.service".to_owned(),
        format!("state/job@4.service/{}", id("job@4.service")?),
        format!("schedule/{}", cluster.machine("m2")?.id()),
        format!("machine/{}", cluster.machine("m2")?.id()),
        file.trim_start_matches(PREFIX).to_owned(),
        "leader".to_owned(),
        "commit".to_owned(),
    ])
}

/// Records that were never any other.
const STRAYS: [&str; 8] = [
    "unit/stray.service",
    "schedule/stray/stray.service",
    "target/stray.service",
    "machine/stray",
    "state/stray.service/stray",
    "file/0000000000000000000000000000000000000000",
    "fence/stray.service",
    "from-the-future/stray",
];

fn are_named_once(machine: &Machine, keys: &[&str], processes: usize) -> Result<()> {
    let journal = machine.journal("fleet.service")?;
    for key in keys {
        let name = format!("{PREFIX}{key} ");
        let told = journal
            .lines()
            .filter(|line| line.contains(GARBAGE) && format!("{line} ").contains(&name));
        let told = told.count();
        ensure!(
            told <= processes,
            "{}: {key} is named {told} times",
            machine.name()
        );
    }
    Ok(())
}

stories! {
    garbage_among_the_records(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let before = start_jobs(cluster, 4)?;
        let good = get(cluster, "unit/job@1.service")?;
        let file = records_in_use(cluster, &before)?.swap_remove(6);
        let text = get(cluster, &file)?;

        for key in records_in_use(cluster, &before)?.iter().map(String::as_str).chain(STRAYS) {
            put(cluster, key, "{\"half a rec")?;
        }
        goes_on(cluster, "first.service")?;
        are_untouched(cluster, &before)?;
        for machine in cluster.lab.machines() {
            are_named_once(machine, &STRAYS, 1)?;
        }
        let noted = cluster.machine("m1")?.journal("fleet.service")? + &cluster.machine("m2")?.journal("fleet.service")?;
        for key in STRAYS {
            ensure!(noted.contains(key), "{key} is named nowhere");
        }

        // those who come now know nothing of what the records were
        for machine in cluster.lab.machines() {
            machine.read(["systemctl", "restart", "fleet.service"])?;
        }
        cluster.wait_for_members(2)?;
        goes_on(cluster, "second.service")?;
        are_untouched(cluster, &before)?;

        put(cluster, &file, &text)?;
        put(cluster, "unit/job@1.service", &good.replace("launched", "loaded"))?;
        wait_for_state(cluster, "job@1.service", "inactive")?;
        put(cluster, "unit/job@1.service", &good)?;
        wait_for_state(cluster, "job@1.service", "active")?;
        Ok(())
    }

    the_bus_is_gone_and_comes_back(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let before = start_jobs(cluster, 3)?;
        let fleetd = cluster.machine("m1")?.main_pid("fleet.service")?;
        for (number, disturbance) in [
            "systemctl restart dbus.service",
            "systemctl kill --signal=KILL dbus.service",
            "systemctl daemon-reexec",
            "systemctl daemon-reload",
        ].iter().enumerate() {
            cluster.machine("m1")?.read(["sh", "-c", disturbance])?;
            goes_on(cluster, &format!("after-{number}.service")).with_context(|| format!("after {disturbance}"))?;
            are_untouched(cluster, &before).with_context(|| format!("after {disturbance}"))?;
        }

        // what happens while nobody can tell fleetd
        let machine = cluster.machine("m1")?;
        machine.read(["systemctl", "stop", "dbus.socket", "dbus.service"])?;
        machine.read(["systemctl", "kill", "--signal=KILL", "after-0.service"])?;
        wait_for("its end", Duration::from_secs(10), || match machine.property("after-0.service", "ActiveState") {
            Ok(state) if state == "failed" => Ok(()),
            other => Err(format!("{other:?}")),
        })?;
        machine.read(["systemctl", "start", "dbus.socket", "dbus.service"])?;
        wait_for_state(cluster, "after-0.service", "failed")?;

        // somebody else's reload in the midst of starts
        cluster.write_unit("slow@.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 0.5\n")?;
        cluster.fleetctl("start --no-block slow@1 slow@2 slow@3 slow@4")?;
        for _ in 0..3 {
            machine.read(["systemctl", "daemon-reload"])?;
        }
        for number in 1..=4 {
            wait_for_state(cluster, &format!("slow@{number}.service"), "active")?;
        }
        are_untouched(cluster, &before)?;
        ensure!(machine.main_pid("fleet.service")? == fleetd, "fleetd was started anew");
        Ok(())
    }

    a_machine_that_takes_nothing_does_not_draw_units(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("job@.service", SLEEP)?;
        cluster.fleetctl("start job@1 job@2")?;
        let other = cluster.wait_active("job@1.service")?;
        let full = cluster.wait_active("job@2.service")?;
        ensure!(full != other);
        let machine = cluster.machine(&full)?;
        machine.fill_disk("/etc/systemd/system")?;
        // it has the fewest units from now on
        cluster.fleetctl("start job@3 job@4 job@5")?;
        for unit in ["job@3.service", "job@4.service", "job@5.service"] {
            ensure!(cluster.wait_active(unit)? == other);
        }
        let pinned = format!("{SLEEP}[X-Fleet]\nConstraint=name={full}\n");
        cluster.write_unit("pinned.service", &pinned)?;
        ensure!(!cluster.try_fleetctl("start pinned.service")?.status.success());
        cluster.fleetctl("start job@6")?;
        ensure!(cluster.wait_active("job@6.service")? == other);
        let why = cluster.fleetctl("why job@6")?;
        ensure!(why.contains("the machine can write no unit files"), "{why}");

        machine.clear_disk("/etc/systemd/system")?;
        ensure!(cluster.wait_active("pinned.service")? == full);
        cluster.fleetctl("start job@7")?;
        ensure!(cluster.wait_active("job@7.service")? == full);
        Ok(())
    }

    a_disk_that_takes_nothing(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let before = start_jobs(cluster, 2)?;
        let machine = cluster.machine("m1")?;
        for (number, directory) in ["/etc/systemd/system", "/var/lib/fleet/units"].into_iter().enumerate() {
            let unit = format!("full-{number}.service");
            machine.fill_disk(directory)?;
            is_refused(cluster, &unit, &[directory, "No space left on device", "make room there"])?;
            machine.clear_disk(directory)?;
            wait_for_state(cluster, &unit, "active")?;

            let unit = format!("protected-{number}.service");
            machine.write_protect(directory)?;
            is_refused(cluster, &unit, &[directory, "Read-only file system", "make it writable"])?;
            machine.write_enable(directory)?;
            wait_for_state(cluster, &unit, "active")?;
        }
        are_untouched(cluster, &before)
    }
}

/// `fleetctl start` ends soon, and says why in a line.
fn is_refused(cluster: &Cluster, unit: &str, words: &[&str]) -> Result<()> {
    cluster.write_unit(unit, SLEEP)?;
    let asked = now()?;
    let output = cluster.try_fleetctl(&format!("start {unit}"))?;
    let (took, said) = (now()? - asked, complaint(&output));
    ensure!(
        !output.status.success() && took < 5.0,
        "start {unit} took {took:.1} s: {said}"
    );
    let mut lines = said.lines();
    let all = |line: &str| words.iter().all(|word| line.contains(word));
    ensure!(
        lines.any(all),
        "start {unit}: no line with {words:?}: {said}"
    );
    Ok(())
}
