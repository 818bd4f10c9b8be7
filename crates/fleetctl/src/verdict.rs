//! Is a unit where it was asked to be? One status in, one verdict out.

use fleet::DesiredState;
use fleet::v2::{MachineUnitState, UnitStatus};

use crate::legend;

/// What a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Known to the cluster, on no machine.
    Known,
    /// On a machine, in its systemd, not started.
    Loaded,
    /// Started, and systemd has finished starting it.
    Started,
    /// Not running, though still on its machine.
    Stopped,
    /// On no machine.
    Unloaded,
}

impl Goal {
    /// The desired state that leads there.
    pub(crate) fn desired(self) -> DesiredState {
        match self {
            Goal::Loaded | Goal::Stopped => DesiredState::Loaded,
            Goal::Started => DesiredState::Launched,
            Goal::Known | Goal::Unloaded => DesiredState::Inactive,
        }
    }

    /// How an error of the whole command begins.
    pub(crate) fn complaint(self) -> &'static str {
        match self {
            Goal::Known => "Error creating units",
            Goal::Loaded => "Error loading units",
            Goal::Started => "Error starting units",
            Goal::Stopped => "Failed to stop units",
            Goal::Unloaded => "Failed to unload units",
        }
    }

    /// Whether it takes a unit back.
    pub(crate) fn is_withdrawal(self) -> bool {
        matches!(self, Goal::Stopped | Goal::Unloaded)
    }

    /// The command's name.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Goal::Known => "submit",
            Goal::Loaded => "load",
            Goal::Started => "start",
            Goal::Stopped => "stop",
            Goal::Unloaded => "unload",
        }
    }
}

/// How a unit stands to a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There.
    Done,
    /// There, if this status is not older than the request: certain if it stays so for a moment.
    Likely,
    /// It did not work, if this status is not older than the request.
    Failed(String),
    /// On its way; where it is now.
    Coming(String),
    /// No machine takes it; why.
    Unplaced(String),
    /// The cluster does not show what was asked for; what it shows.
    Other(String),
}

/// How `status` stands to `goal`. `hash` is that of the unit file which was sent along, if one was.
pub(crate) fn judge(goal: Goal, hash: Option<&str>, status: &UnitStatus) -> Verdict {
    if let Some(other) = other(goal, hash, status) {
        return Verdict::Other(other);
    }
    let needs_machine = goal.desired() != DesiredState::Inactive;
    if needs_machine && status.machine_id.is_empty() {
        return unplaced(goal, status);
    }
    match goal {
        Goal::Known => Verdict::Done,
        Goal::Loaded => loaded(status),
        Goal::Started => started(status),
        Goal::Stopped => stopped(status),
        Goal::Unloaded => unloaded(status),
    }
}

/// What a unit should get to on whichever machine it is sent to.
pub(crate) fn destiny(status: &UnitStatus) -> Goal {
    match status.desired_state.as_str() {
        "launched" => Goal::Started,
        _ => Goal::Loaded,
    }
}

/// What came of a unit that has been sent to another machine; none while it is on its way to be what it should.
pub(crate) fn arrival(status: &UnitStatus) -> Option<Verdict> {
    let verdict = judge(destiny(status), None, status);
    let ends = matches!(
        verdict,
        Verdict::Done | Verdict::Likely | Verdict::Failed(_)
    );
    ends.then_some(verdict)
}

/// What the cluster shows instead of what was asked for.
fn other(goal: Goal, hash: Option<&str>, status: &UnitStatus) -> Option<String> {
    if !status.exists {
        return Some("it does not exist".to_owned());
    }
    if hash.is_some_and(|hash| hash != status.hash) {
        return Some(format!("its unit file is another one ({:.7})", status.hash));
    }
    let wanted = goal.desired().as_str();
    (status.desired_state != wanted)
        .then(|| format!("its desired state is {}", status.desired_state))
}

fn unplaced(goal: Goal, status: &UnitStatus) -> Verdict {
    match (goal, status.waiting.as_str()) {
        (Goal::Stopped, _) if status.states.is_empty() => Verdict::Done,
        (_, "") => Verdict::Coming("no machine has it yet".to_owned()),
        (_, reason) => Verdict::Unplaced(reason.to_owned()),
    }
}

fn loaded(status: &UnitStatus) -> Verdict {
    match current_state(status) {
        Some(state) if !state.problem.is_empty() => failed(status, state),
        Some(_) if status.current_state == "loaded" => Verdict::Done,
        _ => Verdict::Coming(whereabouts(status)),
    }
}

fn started(status: &UnitStatus) -> Verdict {
    let Some(state) = current_state(status) else {
        return Verdict::Coming(whereabouts(status));
    };
    if state.starting {
        return Verdict::Coming(whereabouts(status));
    }
    if !state.problem.is_empty() {
        return failed(status, state);
    }
    if status.current_state != "launched" {
        return Verdict::Coming(whereabouts(status));
    }
    match (state.load.as_str(), state.active.as_str()) {
        ("loaded", "active" | "reloading" | "refreshing") => Verdict::Done,
        (_, "failed") => Verdict::Failed(whereabouts(status)),
        // a oneshot that has done its work; by API v1 also a job that waits for its turn
        ("loaded", "inactive") => Verdict::Likely,
        (_, "inactive") => Verdict::Failed(whereabouts(status)),
        _ => Verdict::Coming(whereabouts(status)),
    }
}

fn stopped(status: &UnitStatus) -> Verdict {
    let Some(state) = current_state(status) else {
        return Verdict::Coming(whereabouts(status));
    };
    let is_up = |other: &&MachineUnitState| {
        other.machine_id != state.machine_id
            && !["inactive", "failed"].contains(&other.active.as_str())
    };
    if let Some(other) = status.states.iter().find(is_up) {
        let machine = legend::machine(&other.machine_id, false);
        return Verdict::Coming(format!(
            "{} on {machine}, where it was before",
            other.active
        ));
    }
    match (status.current_state.as_str(), state.active.as_str()) {
        ("loaded", "inactive" | "failed") => Verdict::Done,
        // its socket, timer or path has started it again
        ("loaded", "active") => Verdict::Likely,
        _ if !state.problem.is_empty() => failed(status, state),
        _ => Verdict::Coming(whereabouts(status)),
    }
}

fn unloaded(status: &UnitStatus) -> Verdict {
    let gone = status.machine_id.is_empty() && status.states.is_empty();
    let current = status.states.iter().find(|state| !state.problem.is_empty());
    match current {
        _ if gone => Verdict::Done,
        Some(state) => failed(status, state),
        None => Verdict::Coming(whereabouts(status)),
    }
}

fn failed(status: &UnitStatus, state: &MachineUnitState) -> Verdict {
    Verdict::Failed(format!("{}: {}", whereabouts(status), state.problem))
}

/// What the unit's machine says of the unit file that the unit has now.
pub(crate) fn current_state(status: &UnitStatus) -> Option<&MachineUnitState> {
    let same_file = |state: &&MachineUnitState| state.hash.is_empty() || state.hash == status.hash;
    systemd_state(status).filter(same_file)
}

fn systemd_state(status: &UnitStatus) -> Option<&MachineUnitState> {
    status
        .states
        .iter()
        .find(|state| status.machine_id.is_empty() || state.machine_id == status.machine_id)
}

/// Where a unit is and what it does there, for people.
pub(crate) fn whereabouts(status: &UnitStatus) -> String {
    let waits = |state: &MachineUnitState| {
        state.starting && state.current != "launched" && !state.problem.is_empty()
    };
    let doing = match systemd_state(status) {
        Some(state) if waits(state) => format!("not started yet: {}", state.problem),
        Some(state) if state.starting && state.active == "inactive" => {
            "inactive, its start job is queued".to_owned()
        }
        Some(state) => format!("{} ({})", state.active, state.sub),
        None => "no word from that machine yet".to_owned(),
    };
    match place(status) {
        Some(place) => format!("scheduled on {place}, {doing}"),
        None => doing,
    }
}

/// The line that tells that a unit is where it was asked to be.
pub(crate) fn success(status: &UnitStatus) -> String {
    let on = place(status)
        .map(|place| format!(" on {place}"))
        .unwrap_or_default();
    format!("Unit {} {}{on}", status.name, status.current_state)
}

fn place(status: &UnitStatus) -> Option<String> {
    let known = !status.machine_id.is_empty();
    known.then(|| legend::machine_at(&status.machine_id, &status.primary_ip, false))
}

#[cfg(test)]
mod tests {
    use super::{Goal, MachineUnitState, UnitStatus, Verdict, judge, success};

    fn status(desired: &str, current: &str, systemd: &str) -> UnitStatus {
        let mut words = systemd.split('/').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        UnitStatus {
            name: "a.service".to_owned(),
            exists: true,
            hash: "aaaaaaaaaa".to_owned(),
            desired_state: desired.to_owned(),
            current_state: current.to_owned(),
            machine_id: "1f8dd9642222".to_owned(),
            primary_ip: "10.0.0.1".to_owned(),
            states: vec![MachineUnitState {
                machine_id: "1f8dd9642222".to_owned(),
                hash: "aaaaaaaaaa".to_owned(),
                load: word(),
                active: word(),
                sub: word(),
                current: current.to_owned(),
                starting: false,
                problem: word(),
            }],
            ..UnitStatus::default()
        }
    }

    fn started(current: &str, systemd: &str) -> Verdict {
        judge(Goal::Started, None, &status("launched", current, systemd))
    }

    fn failed(text: &str) -> Verdict {
        Verdict::Failed(text.to_owned())
    }

    fn coming(text: &str) -> Verdict {
        Verdict::Coming(format!("scheduled on 1f8dd964.../10.0.0.1, {text}"))
    }

    #[test]
    fn a_start_is_done_when_systemd_says_active() {
        assert_eq!(started("launched", "loaded/active/running"), Verdict::Done);
        assert_eq!(
            started("launched", "loaded/active/listening"),
            Verdict::Done
        );
        assert_eq!(
            started("loaded", "loaded/active/running"),
            coming("active (running)")
        );
        assert_eq!(
            started("launched", "loaded/activating/start-pre"),
            coming("activating (start-pre)")
        );
    }

    #[test]
    fn a_oneshot_that_has_finished_is_a_start_that_worked() {
        assert_eq!(started("launched", "loaded/inactive/dead"), Verdict::Likely);
    }

    #[test]
    fn a_start_whose_job_is_under_way_is_coming_whatever_the_unit_was() {
        let queued = |systemd: &str| {
            let mut status = status("launched", "launched", systemd);
            status.states[0].starting = true;
            judge(Goal::Started, None, &status)
        };
        let text = "inactive, its start job is queued";
        assert_eq!(queued("loaded/inactive/dead"), coming(text));
        assert_eq!(queued("loaded/failed/failed"), coming("failed (failed)"));
        assert_eq!(
            queued("loaded/activating/auto-restart/start job failed: failed"),
            coming("activating (auto-restart)")
        );
    }

    #[test]
    fn a_start_that_waits_for_others_is_coming_whatever_the_unit_is() {
        for systemd in ["loaded/inactive/dead", "loaded/active/running"] {
            let problem = "machine 2ab9 has not stopped it yet";
            let mut status = status("launched", "loaded", &format!("{systemd}/{problem}"));
            status.states[0].starting = true;
            let verdict = judge(Goal::Started, None, &status);
            assert_eq!(verdict, coming(&format!("not started yet: {problem}")));
        }
    }

    #[test]
    fn what_fails_a_start() {
        let place = "scheduled on 1f8dd964.../10.0.0.1";
        assert_eq!(
            started("launched", "loaded/failed/failed"),
            failed(&format!("{place}, failed (failed)"))
        );
        assert_eq!(
            started("launched", "not-found/inactive/dead"),
            failed(&format!("{place}, inactive (dead)"))
        );
        assert_eq!(
            started("loaded", "loaded/inactive/dead/no such file"),
            failed(&format!("{place}, inactive (dead): no such file"))
        );
    }

    #[test]
    fn states_of_another_unit_file_do_not_count() {
        let mut old = status("launched", "launched", "loaded/active/running");
        old.states[0].hash = "bbbbbbbbbb".to_owned();
        assert_eq!(judge(Goal::Started, None, &old), coming("active (running)"));
        let other = Verdict::Other("its unit file is another one (aaaaaaa)".to_owned());
        assert_eq!(judge(Goal::Started, Some("cccccccccc"), &old), other);
    }

    #[test]
    fn a_unit_on_no_machine_waits_with_a_reason_or_is_stopped_already() {
        let mut nowhere = status("launched", "inactive", "");
        (nowhere.machine_id, nowhere.states) = (String::new(), Vec::new());
        nowhere.waiting = "there are no machines".to_owned();
        let unplaced = Verdict::Unplaced("there are no machines".to_owned());
        assert_eq!(judge(Goal::Started, None, &nowhere), unplaced);
        nowhere.desired_state = "loaded".to_owned();
        assert_eq!(judge(Goal::Stopped, None, &nowhere), Verdict::Done);
        assert_eq!(success(&nowhere), "Unit a.service inactive");
    }

    #[test]
    fn stop_and_unload() {
        let stop =
            |current, systemd| judge(Goal::Stopped, None, &status("loaded", current, systemd));
        assert_eq!(stop("loaded", "loaded/inactive/dead"), Verdict::Done);
        assert_eq!(stop("loaded", "loaded/failed/failed"), Verdict::Done);
        assert_eq!(
            stop("launched", "loaded/inactive/dead"),
            coming("inactive (dead)")
        );
        assert_eq!(
            stop("loaded", "loaded/deactivating/stop"),
            coming("deactivating (stop)")
        );
        assert_eq!(stop("loaded", "loaded/active/running"), Verdict::Likely);
        let unload = |status: &UnitStatus| judge(Goal::Unloaded, None, status);
        let mut gone = status("inactive", "inactive", "loaded/inactive/dead");
        assert_eq!(unload(&gone), coming("inactive (dead)"));
        (gone.machine_id, gone.states) = (String::new(), Vec::new());
        assert_eq!(unload(&gone), Verdict::Done);
    }
}
