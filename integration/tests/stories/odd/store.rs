//! What has the records is full, hangs, or has records of an earlier time.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{Backing, Cluster, wait_for};
use nix::sys::signal::Signal;

use super::{PREFIX, are_untouched, etcdctl, goes_on, start_jobs};
use crate::told::{SLEEP, TTL, now};

/// The embedded store ends, fleetd with it, and says why; systemd starts it again and again, until there is room.
#[test]
fn a_full_disk_under_the_embedded_store() -> Result<()> {
    crate::told::tell("odd-store-full-s", 2, Backing::EmbeddedStore, |cluster| {
        const STORE: &str = "/var/lib/fleet/store";
        let before = start_jobs(cluster, 4)?;
        let machine = cluster.machine("m1")?;
        let first = machine.main_pid("fleet.service")?;
        machine.give_small_disk(STORE, 8)?;
        // the file that it has open is not on that disk
        machine.signal("fleetd", Signal::SIGKILL)?;
        wait_for("another fleetd", Duration::from_secs(20), || {
            let pid = machine.main_pid("fleet.service");
            match pid.map_err(|error| format!("{error:#}"))? {
                pid if pid != first && pid != "0" => Ok(()),
                pid => Err(format!("MainPID={pid}")),
            }
        })?;
        cluster.wait_for_members(2)?;

        let stuffing = "x".repeat(100_000);
        wait_for("fleetd to say so", Duration::from_secs(30), || {
            let stuffed = etcdctl(cluster, &["put", "/stuffing", &stuffing]).map(drop);
            let words = [
                "the embedded store has ended",
                STORE,
                "No space left on device",
            ];
            match machine.journal("fleet.service") {
                Ok(text) if is_told(&text, &words) => Ok(()),
                other => Err(format!("{:?} {stuffed:?}", other.err())),
            }
        })?;
        are_untouched(cluster, &before)?;
        machine.clear_disk(STORE)?;
        cluster.wait_for_members(2)?;
        goes_on(cluster, "last.service")?;
        are_untouched(cluster, &before)
    })
}

fn is_told(journal: &str, words: &[&str]) -> bool {
    journal
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)))
}

/// Revisions go backwards, and units that run are not known any more.
#[test]
fn etcd_is_restored_from_a_backup() -> Result<()> {
    crate::told::tell("odd-restored-e", 2, Backing::Etcd, |cluster| {
        let mut before = start_jobs(cluster, 4)?;
        let etcd = cluster.lab.etcd();
        etcd.stop()?;
        etcd.back_up()?;
        etcd.start()?;
        cluster.wait_for_members(2)?;

        // a machine that the backup does not know, and the units there
        cluster.grow(3, &crate::told::fleet()?)?;
        for number in 1..=3 {
            let pinned = format!("{SLEEP}[X-Fleet]\nMachineMetadata=name=m{number}\n");
            cluster.start(&format!("late-{number}.service"), &pinned)?;
        }
        cluster.fleetctl("destroy job@4.service")?;
        cluster.wait_where("job@4.service", "is gone", |rows| {
            rows.is_empty().then_some(())
        })?;
        // another leads than in the backup
        etcdctl(cluster, &["del", &format!("{PREFIX}leader")])?;

        etcd.kill()?;
        etcd.restore()?;
        etcd.start()?;
        cluster.wait_for_members(3)?;
        // it was launched when the backup was made
        cluster.wait_active("job@4.service")?;
        before.remove("job@4.service");
        goes_on(cluster, "last.service")?;
        for number in 1..=3 {
            let unit = format!("late-{number}.service");
            let machine = cluster.machine(&format!("m{number}"))?;
            wait_for(
                "what nobody knows to be stopped",
                Duration::from_secs(20),
                || match machine.property(&unit, "ActiveState") {
                    Ok(state) if state == "inactive" => Ok(()),
                    other => Err(format!("{unit}: {other:?}")),
                },
            )?;
        }
        are_untouched(cluster, &before)
    })
}

/// etcd takes connections and answers nothing: neither is waited for.
#[test]
fn answers_while_etcd_hangs() -> Result<()> {
    crate::told::tell("odd-etcd-hangs-e", 2, Backing::Etcd, |cluster| {
        let before = start_jobs(cluster, 2)?;
        cluster.lab.etcd().freeze()?;
        for path in ["units", "units/job@1.service", "machines", "state"] {
            let asked = now()?;
            let answer = ask(cluster, &format!("fleet/v1/{path}"))?;
            let took = now()? - asked;
            ensure!(
                took < REQUEST_TIMEOUT + 1.0,
                "{path} took {took:.1} s: {answer}"
            );
            ensure!(
                answer.contains("unable to communicate with etcd") && answer.ends_with("503"),
                "{path}: {answer}"
            );
        }
        wait_for("the metrics to tell", Duration::from_secs(20), || {
            let metrics = ask(cluster, "metrics").map_err(|error| format!("{error:#}"))?;
            let silence = metric(&metrics, "fleet_registry_last_contact_seconds");
            match silence {
                Some(silence) if silence > TTL.as_secs_f64() => Ok(()),
                other => Err(format!("last contact {other:?}")),
            }
        })?;
        are_untouched(cluster, &before)?;

        cluster.lab.etcd().thaw()?;
        cluster.wait_for_members(2)?;
        goes_on(cluster, "last.service")?;
        let answer = ask(cluster, "fleet/v1/units")?;
        ensure!(answer.ends_with("200"), "{answer}");
        let silence = metric(
            &ask(cluster, "metrics")?,
            "fleet_registry_last_contact_seconds",
        );
        ensure!(
            silence.is_some_and(|silence| silence < TTL.as_secs_f64()),
            "{silence:?}"
        );
        are_untouched(cluster, &before)
    })
}

/// `etcd_request_timeout`, in seconds, as fleet.conf has it when it says nothing.
const REQUEST_TIMEOUT: f64 = 1.0;

/// What the API of `m1` answers: the body, and on a line of its own the status.
fn ask(cluster: &Cluster, path: &str) -> Result<String> {
    let url = format!("http://fleet/{path}");
    let curl = [
        "curl",
        "--silent",
        "--max-time",
        "10",
        "--write-out",
        "\n%{http_code}",
    ];
    let line = curl
        .into_iter()
        .chain(["--unix-socket", "/run/fleet.sock", &url]);
    cluster.machine("m1")?.read(line)
}

fn metric(page: &str, name: &str) -> Option<f64> {
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.parse().ok()
}
