//! What the agent relies on in systemd, held against both of its implementations.
//!
//! By default the stories are told to the systemd in memory. On a machine that runs systemd, as root,
//! `FLOTILLA_SYSTEMD=dbus` tells them to PID 1; the lab does that.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::systemd::{Bus, Dbus, JobResult, Memory, Status, Systemd};
use unitfile::UnitName;

const PATIENCE: Duration = Duration::from_secs(30);
const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep 1000\n";

/// Tells a story to the systemd that the environment asks for.
macro_rules! stories {
    ($($story:ident)*) => {
        $(#[tokio::test]
        async fn $story() {
            let story = async {
                if std::env::var("FLOTILLA_SYSTEMD").as_deref() == Ok("dbus") {
                    let stage = Stage::real(stringify!($story)).await;
                    stories::$story(&stage).await;
                    stage.clear().await;
                } else {
                    let folder = tempfile::tempdir().unwrap();
                    let stage = Stage::in_memory(folder.path(), stringify!($story));
                    stories::$story(&stage).await;
                }
            };
            tokio::time::timeout(PATIENCE, story).await.expect("the story should come to its end");
        })*
    };
}

stories! {
    a_service_is_started_and_stopped
    a_failing_service_is_seen_failing
    a_oneshot_ends_and_its_job_is_done
    a_oneshot_that_fails_fails_its_job
    a_start_that_waits_for_its_turn_says_so_and_can_be_taken_back
    a_file_that_systemd_refuses_is_refused_at_start
    a_unit_without_a_file_is_not_found
    stopping_what_never_ran_counts_as_stopped
    a_stop_cancels_the_start_under_way
    a_new_file_needs_no_reload
    a_changed_file_under_a_running_unit_is_stale_until_a_reload
    a_stopped_unit_runs_its_new_text_without_a_reload
    a_service_that_its_socket_refers_to_stays_in_memory
    install_links_are_made_once_and_taken_away
    a_slow_stop_ends_when_it_ends
    a_second_stop_joins_the_first
    a_failed_unit_is_forgotten_when_told_so
    a_failed_unit_whose_file_went_and_came_back_is_started
    starts_side_by_side_all_come_up
}

mod stories {
    use super::*;

    pub(super) async fn a_service_is_started_and_stopped(on: &Stage<impl Systemd>) {
        let unit = on.unit("a.service", SLEEPS);
        assert_eq!(on.start(&unit).await, JobResult::Done);
        on.reaches(&unit, "active", "running").await;
        assert_eq!(on.stop(&unit).await, JobResult::Done);
        on.reaches(&unit, "inactive", "dead").await;
    }

    pub(super) async fn a_failing_service_is_seen_failing(on: &Stage<impl Systemd>) {
        let unit = on.unit("a.service", "[Service]\nExecStart=/bin/false\n");
        on.start(&unit).await;
        on.reaches(&unit, "failed", "failed").await;
    }

    pub(super) async fn a_oneshot_ends_and_its_job_is_done(on: &Stage<impl Systemd>) {
        let unit = on.unit(
            "a.service",
            "[Service]\nType=oneshot\nExecStart=/bin/true\n",
        );
        assert_eq!(on.start(&unit).await, JobResult::Done);
        on.reaches(&unit, "inactive", "dead").await;
    }

    pub(super) async fn a_oneshot_that_fails_fails_its_job(on: &Stage<impl Systemd>) {
        let unit = on.unit(
            "a.service",
            "[Service]\nType=oneshot\nExecStart=/bin/false\n",
        );
        assert_eq!(on.start(&unit).await.to_string(), "failed");
        on.reaches(&unit, "failed", "failed").await;
    }

    pub(super) async fn a_start_that_waits_for_its_turn_says_so_and_can_be_taken_back(
        on: &Stage<impl Systemd>,
    ) {
        let text = "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n";
        let first = on.unit("first.service", text);
        let after = format!("[Unit]\nAfter={first}\n{SLEEPS}");
        let (next, other) = (
            on.unit("next.service", &after),
            on.unit("other.service", &after),
        );
        on.systemd.start(&first).await.unwrap();
        on.reaches(&first, "activating", "start").await;
        let next_job = on.systemd.start(&next).await.unwrap();
        let other_job = on.systemd.start(&other).await.unwrap();
        for waiting in [&next, &other] {
            let status = on.status(waiting).await;
            assert_eq!(
                (status.active.as_str(), status.starting),
                ("inactive", true)
            );
            assert!(status.is_up(), "it would come up by itself");
        }
        assert_eq!(on.stop(&other).await, JobResult::Done);
        assert_eq!(other_job.result().await, JobResult::Canceled);
        on.stop(&first).await;
        assert_eq!(next_job.result().await, JobResult::Done);
        let (next, other) = (on.status(&next).await, on.status(&other).await);
        assert_eq!((next.active.as_str(), next.starting), ("active", false));
        assert_eq!((other.active.as_str(), other.starting), ("inactive", false));
    }

    pub(super) async fn a_file_that_systemd_refuses_is_refused_at_start(on: &Stage<impl Systemd>) {
        let unit = on.unit("a.service", "[Service]\nType=simple\n");
        let error = on.systemd.start(&unit).await.expect_err("no ExecStart");
        assert!(!error.is_transient(), "{error:?}");
        assert!(
            error.to_string().contains("bad unit file setting"),
            "{error}"
        );
        let states = on
            .systemd
            .states(std::slice::from_ref(&unit))
            .await
            .unwrap();
        assert_eq!(states[&unit].load, "bad-setting");
    }

    pub(super) async fn a_unit_without_a_file_is_not_found(on: &Stage<impl Systemd>) {
        let unit = on.name("a.service");
        let states = on
            .systemd
            .states(std::slice::from_ref(&unit))
            .await
            .unwrap();
        assert_eq!(states[&unit].load, "not-found");
        assert!(
            on.systemd
                .start(&unit)
                .await
                .expect_err("no file")
                .is_no_such_unit()
        );
    }

    pub(super) async fn stopping_what_never_ran_counts_as_stopped(on: &Stage<impl Systemd>) {
        assert_eq!(on.stop(&on.name("a.service")).await, JobResult::Done);
    }

    pub(super) async fn a_stop_cancels_the_start_under_way(on: &Stage<impl Systemd>) {
        let unit = on.unit(
            "a.service",
            "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n",
        );
        let start = on.systemd.start(&unit).await.unwrap();
        on.reaches(&unit, "activating", "start").await;
        assert_eq!(on.stop(&unit).await, JobResult::Done);
        assert_eq!(start.result().await, JobResult::Canceled);
    }

    pub(super) async fn a_new_file_needs_no_reload(on: &Stage<impl Systemd>) {
        let unit = on.name("a.service");
        assert!(
            on.systemd.start(&unit).await.is_err(),
            "systemd looked for it in vain"
        );
        on.unit("a.service", SLEEPS);
        assert!(!on.is_stale(&unit).await);
        assert_eq!(on.start(&unit).await, JobResult::Done);
    }

    pub(super) async fn a_changed_file_under_a_running_unit_is_stale_until_a_reload(
        on: &Stage<impl Systemd>,
    ) {
        let unit = on.unit("a.service", SLEEPS);
        on.start(&unit).await;
        assert!(!on.is_stale(&unit).await);
        on.unit("a.service", &SLEEPS.replace("1000", "2000"));
        assert!(on.is_stale(&unit).await);
        on.systemd.reload().await.unwrap();
        assert!(!on.is_stale(&unit).await);
        on.reaches(&unit, "active", "running").await;
    }

    pub(super) async fn a_stopped_unit_runs_its_new_text_without_a_reload(
        on: &Stage<impl Systemd>,
    ) {
        let unit = on.unit("a.service", SLEEPS);
        on.start(&unit).await;
        on.stop(&unit).await;
        on.unit(
            "a.service",
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
        );
        assert!(!on.is_stale(&unit).await);
        on.start(&unit).await;
        on.reaches(&unit, "active", "exited").await;
    }

    pub(super) async fn a_service_that_its_socket_refers_to_stays_in_memory(
        on: &Stage<impl Systemd>,
    ) {
        let service = on.unit("a.service", SLEEPS);
        let socket = on.unit("a.socket", "[Socket]\nListenStream=@flotilla-conformance\n");
        on.start(&socket).await;
        on.reaches(&socket, "active", "listening").await;
        assert!(!on.is_stale(&service).await);
        on.unit("a.service", &SLEEPS.replace("1000", "2000"));
        assert!(
            on.is_stale(&service).await,
            "the socket would start the old text"
        );
        on.stop(&socket).await;
    }

    pub(super) async fn install_links_are_made_once_and_taken_away(on: &Stage<impl Systemd>) {
        let text = format!("{SLEEPS}[Install]\nWantedBy=multi-user.target\n");
        let units = [on.unit("a.service", &text), on.unit("b.service", SLEEPS)];
        let links = on.systemd.enable(&units).await.unwrap();
        assert_eq!(links.len(), 1, "{links:?}");
        let place = Path::new("multi-user.target.wants").join(units[0].as_str());
        assert!(links[0].ends_with(place), "{links:?}");
        assert!(on.systemd.enable(&units).await.unwrap().is_empty());
        on.systemd.disable(&units).await.unwrap();
        assert_eq!(on.systemd.enable(&units).await.unwrap().len(), 1);
        on.systemd.disable(&units).await.unwrap();
    }

    pub(super) async fn a_slow_stop_ends_when_it_ends(on: &Stage<impl Systemd>) {
        let unit = on.unit("a.service", &format!("{SLEEPS}ExecStop=/bin/sleep 0.5\n"));
        on.start(&unit).await;
        let job = on.systemd.stop(&unit).await.unwrap();
        on.reaches_active(&unit, "deactivating").await;
        assert_eq!(job.result().await, JobResult::Done);
        on.reaches(&unit, "inactive", "dead").await;
    }

    pub(super) async fn a_second_stop_joins_the_first(on: &Stage<impl Systemd>) {
        let unit = on.unit("a.service", &format!("{SLEEPS}ExecStop=/bin/sleep 3\n"));
        on.start(&unit).await;
        let begun = std::time::Instant::now();
        let first = on.systemd.stop(&unit).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(on.stop(&unit).await, JobResult::Done);
        assert_eq!(first.result().await, JobResult::Done);
        let took = begun.elapsed();
        assert!(
            took < Duration::from_millis(4_500),
            "{took:?}: it began anew"
        );
    }

    pub(super) async fn a_failed_unit_is_forgotten_when_told_so(on: &Stage<impl Systemd>) {
        let unit = on.unit(
            "a.service",
            "[Service]\nType=oneshot\nExecStart=/bin/false\n",
        );
        on.start(&unit).await;
        on.reaches(&unit, "failed", "failed").await;
        on.systemd.reset_failed(&unit).await.unwrap();
        on.reaches(&unit, "inactive", "dead").await;
        on.systemd
            .reset_failed(&on.name("never-seen.service"))
            .await
            .unwrap();
    }

    pub(super) async fn a_failed_unit_whose_file_went_and_came_back_is_started(
        on: &Stage<impl Systemd>,
    ) {
        let unit = on.unit(
            "a.service",
            "[Service]\nType=oneshot\nExecStart=/bin/false\n",
        );
        on.start(&unit).await;
        std::fs::remove_file(on.directory.join(unit.as_str())).unwrap();
        on.systemd.reload().await.unwrap();
        let states = on
            .systemd
            .states(std::slice::from_ref(&unit))
            .await
            .unwrap();
        assert_eq!(
            (states[&unit].load.as_str(), states[&unit].active.as_str()),
            ("not-found", "failed")
        );
        on.unit("a.service", SLEEPS);
        assert_eq!(on.start(&unit).await, JobResult::Done);
        on.reaches(&unit, "active", "running").await;
    }

    pub(super) async fn starts_side_by_side_all_come_up(on: &Stage<impl Systemd>) {
        let units: Vec<UnitName> = (0..40)
            .map(|n| on.unit(&format!("many-{n}.service"), SLEEPS))
            .collect();
        let starts = units.iter().map(|unit| on.start(unit));
        let results = futures_util::future::join_all(starts).await;
        assert!(
            results.iter().all(|result| *result == JobResult::Done),
            "{results:?}"
        );
        let stops = units.iter().map(|unit| on.stop(unit));
        futures_util::future::join_all(stops).await;
    }
}

/// A systemd, a directory from which it loads units, and names of our own.
struct Stage<S> {
    systemd: S,
    directory: PathBuf,
    prefix: String,
}

impl Stage<Memory> {
    fn in_memory(directory: &Path, story: &str) -> Self {
        Stage {
            systemd: Memory::boot(directory),
            directory: directory.to_owned(),
            prefix: prefix(story),
        }
    }
}

impl Stage<Dbus> {
    async fn real(story: &str) -> Self {
        Stage {
            systemd: Dbus::connect(Bus::System)
                .await
                .expect("PID 1 should be systemd"),
            directory: "/run/systemd/system".into(),
            prefix: prefix(story),
        }
    }

    /// Leaves nothing of the story behind.
    async fn clear(&self) {
        for entry in std::fs::read_dir(&self.directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with(&self.prefix) && entry.file_type().unwrap().is_file() {
                let unit = UnitName::parse(&name).unwrap();
                self.stop(&unit).await;
                self.systemd.reset_failed(&unit).await.unwrap();
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

impl<S: Systemd> Stage<S> {
    fn name(&self, unit: &str) -> UnitName {
        UnitName::parse(&format!("{}-{unit}", self.prefix)).unwrap()
    }

    fn unit(&self, unit: &str, text: &str) -> UnitName {
        let name = self.name(unit);
        std::fs::write(self.directory.join(name.as_str()), text).unwrap();
        name
    }

    async fn start(&self, unit: &UnitName) -> JobResult {
        self.systemd.start(unit).await.unwrap().result().await
    }

    async fn stop(&self, unit: &UnitName) -> JobResult {
        self.systemd.stop(unit).await.unwrap().result().await
    }

    async fn status(&self, unit: &UnitName) -> Status {
        let states = self.systemd.states(std::slice::from_ref(unit)).await;
        states
            .unwrap()
            .remove(unit)
            .expect("every name is answered")
    }

    async fn is_stale(&self, unit: &UnitName) -> bool {
        let stale = self
            .systemd
            .stale(std::slice::from_ref(unit))
            .await
            .unwrap();
        stale.contains(unit)
    }

    async fn reaches(&self, unit: &UnitName, active: &str, sub: &str) {
        self.until(unit, |now| now == (active, sub)).await;
    }

    async fn reaches_active(&self, unit: &UnitName, active: &str) {
        self.until(unit, |now| now.0 == active).await;
    }

    /// Looks again at each change of which systemd tells.
    async fn until(&self, unit: &UnitName, there: impl Fn((&str, &str)) -> bool) {
        loop {
            let status = self.status(unit).await;
            if there((&status.active, &status.sub)) {
                return;
            }
            self.systemd.changes().next().await;
        }
    }
}

fn prefix(story: &str) -> String {
    format!("flotilla-{}", story.replace('_', "-"))
}
