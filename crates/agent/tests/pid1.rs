//! What only a real systemd can show. `cargo test -p agent --test pid1 -- --ignored --test-threads 1`, as root
//! on a machine whose PID 1 is systemd and that nobody else needs: it restarts systemd and the bus.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::systemd::{Bus, Dbus, Job, JobResult, Systemd};
use futures_util::future::join_all;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use unitfile::UnitName;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where the service of the story about its own job writes what it learnt.
const TOLD: &str = "FLOTILLA_TOLD";

#[tokio::test]
#[ignore = "needs root, and systemd as PID 1"]
async fn a_service_knows_whether_it_is_restarted_or_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let program = std::env::current_exe().unwrap();
    let text = format!(
        "[Service]\nType=exec\nEnvironment={TOLD}={}\n\
         ExecStart={} --ignored --exact the_service_of_the_story_about_its_own_job\n",
        told.display(),
        program.display()
    );
    let unit = Unit::new("own-job", &text);
    systemctl(&["start", unit.name.as_str()]).await;
    written(&told.with_extension("ready")).await;
    systemctl(&["restart", unit.name.as_str()]).await;
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "Some(Restart)");
    written(&told.with_extension("ready")).await;
    systemctl(&["stop", unit.name.as_str()]).await;
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "Some(Stop)");
}

/// Not a story: the program that the one above runs as a service.
#[tokio::test]
#[ignore = "is run by another test"]
async fn the_service_of_the_story_about_its_own_job() {
    let Some(told) = std::env::var_os(TOLD).map(PathBuf::from) else {
        return;
    };
    let systemd = Dbus::connect(Bus::System).await.unwrap();
    assert_eq!(systemd.own_job().await.unwrap(), None);
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    std::fs::write(told.with_extension("ready"), "").unwrap();
    terminated.recv().await;
    let _ = std::fs::remove_file(told.with_extension("ready"));
    std::fs::write(&told, format!("{:?}", systemd.own_job().await.unwrap())).unwrap();
}

#[tokio::test]
#[ignore = "needs root, and systemd as PID 1"]
async fn a_reexecuted_systemd_is_found_again() {
    let systemd = Dbus::connect(Bus::System).await.unwrap();
    let slow = Unit::new(
        "reexec",
        "[Service]\nType=oneshot\nExecStart=/bin/sleep 2\n",
    );
    let job = systemd.start(&slow.name).await.unwrap();
    systemctl(&["daemon-reexec"]).await;
    // its signal may fall into the gap
    assert!(matches!(end(job).await, JobResult::Done | JobResult::Lost));
    works(&systemd, "after-reexec").await;
}

#[tokio::test]
#[ignore = "needs root, and systemd as PID 1"]
async fn a_lost_bus_is_found_again_and_everything_looked_at() {
    let systemd = Dbus::connect(Bus::System).await.unwrap();
    let slow = Unit::new(
        "bus",
        "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n",
    );
    let job = systemd.start(&slow.name).await.unwrap();
    systemctl(&["kill", "--signal=KILL", "dbus.service"]).await;
    assert_eq!(end(job).await, JobResult::Lost);
    let everything = async { while !systemd.changes().next().await.everything {} };
    tokio::time::timeout(PATIENCE, everything)
        .await
        .expect("everything is to be looked at");
    works(&systemd, "after-bus").await;
    assert_eq!(
        end(retried(&systemd, &slow.name, false).await).await,
        JobResult::Done
    );
}

#[tokio::test]
#[ignore = "needs root, and systemd as PID 1"]
async fn calls_outlast_a_reload() {
    let systemd = Dbus::connect(Bus::System).await.unwrap();
    let unit = Unit::new("outlast", "[Service]\nExecStart=/bin/sleep 1000\n");
    let (reloaded, job) = tokio::join!(systemd.reload(), systemd.start(&unit.name));
    reloaded.unwrap();
    assert_eq!(end(job.unwrap()).await, JobResult::Done);
    assert_eq!(
        end(systemd.stop(&unit.name).await.unwrap()).await,
        JobResult::Done
    );
}

#[tokio::test]
#[ignore = "needs root, and systemd as PID 1"]
async fn the_bus_is_never_asked_for_more_than_it_takes() {
    let systemd = Dbus::connect(Bus::System).await.unwrap();
    let text = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    let units: Vec<Unit> = (0..200)
        .map(|number| Unit::new(&format!("many{number}"), text))
        .collect();
    let names: Vec<UnitName> = units.iter().map(|unit| unit.name.clone()).collect();
    let ask = join_all(
        names
            .iter()
            .map(|name| systemd.states(std::slice::from_ref(name))),
    );
    let start = join_all(names.iter().map(|name| systemd.start(name)));
    let (asked, started, stale) = tokio::join!(ask, start, systemd.stale(&names));
    stale.unwrap();
    asked
        .into_iter()
        .for_each(|states| assert_eq!(states.unwrap().len(), 1));
    for job in started {
        assert_eq!(end(job.unwrap()).await, JobResult::Done);
    }
}

/// A unit can be started and stopped, and its job's end is heard.
async fn works(systemd: &Dbus, name: &str) {
    let unit = Unit::new(name, "[Service]\nExecStart=/bin/sleep 1000\n");
    assert_eq!(
        end(retried(systemd, &unit.name, true).await).await,
        JobResult::Done
    );
    assert_eq!(
        end(systemd.stop(&unit.name).await.unwrap()).await,
        JobResult::Done
    );
}

/// Asks again while systemd is away, as the agent does.
async fn retried(systemd: &Dbus, name: &UnitName, start: bool) -> Job {
    let asking = async {
        loop {
            let asked = match start {
                true => systemd.start(name).await,
                false => systemd.stop(name).await,
            };
            match asked {
                Ok(job) => return job,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("systemd should come back")
}

async fn end(job: Job) -> JobResult {
    tokio::time::timeout(PATIENCE, job.result())
        .await
        .expect("the job should end")
}

async fn systemctl(arguments: &[&str]) {
    let status = Command::new("systemctl")
        .args(arguments)
        .status()
        .await
        .unwrap();
    assert!(status.success(), "systemctl {arguments:?}");
}

async fn written(path: &Path) {
    let waiting = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the service should come up");
}

/// A unit of systemd's for the length of a story.
struct Unit {
    name: UnitName,
    path: PathBuf,
}

impl Unit {
    fn new(name: &str, text: &str) -> Unit {
        let name = UnitName::parse(&format!("flotilla-pid1-{name}.service")).unwrap();
        let path = Path::new("/run/systemd/system").join(name.as_str());
        std::fs::write(&path, text).unwrap();
        Unit { name, path }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let stop = std::process::Command::new("systemctl")
            .args(["stop", self.name.as_str()])
            .status();
        let removed = std::fs::remove_file(&self.path);
        assert!(std::thread::panicking() || (stop.is_ok() && removed.is_ok()));
    }
}
