//! What stands below the help of a command.

pub(super) const EXAMPLES: &str = "\
Examples:
  fleetctl start hello.service                 submit ./hello.service, schedule it, start it, wait until it runs
  fleetctl start web@{1..5}                    five instances of the template ./web@.service
  fleetctl list-units --fields=unit,machine    where everything is
  fleetctl destroy hello.service               stop it and forget it
  fleetctl --endpoint http://10.0.0.1:49153 list-machines

Every option above has an environment variable: FLEETCTL_ENDPOINT for --endpoint, and so on.
A command may be cut short as long as it is unique: `fleetctl list-m`.";

pub(super) const START_HELP: &str = "\
Waits until systemd has started each unit. A unit that fails, and one that no machine takes, end
the wait with an error; --block-attempts=N waits N times two seconds at most, --no-block not at
all.

Examples:
  fleetctl start hello.service
  fleetctl start --replace hello.service       with a changed ./hello.service
  fleetctl start --no-block units/*.service";

pub(super) const STATUS_HELP: &str = "\
Runs `systemctl status -l` where the unit is: over SSH, or right here if it is on this machine.
The exit code is systemctl's: 0 for a unit that is active, 3 for one that is not.

Examples:
  fleetctl status hello.service
  fleetctl --tunnel bastion.example.com status web@1 web@2";

pub(super) const JOURNAL_HELP: &str = "\
Runs `journalctl --unit` where the unit is: over SSH, or right here if it is on this machine. A
global unit is asked for on all its machines.

Examples:
  fleetctl journal hello.service
  fleetctl journal --lines 100 --follow web@1";

pub(super) const SSH_HELP: &str = "\
Logs in with the keys of the SSH agent, or those that ssh(1) would use, and knows host keys by
~/.fleetctl/known_hosts. The exit code is the command's.

Examples:
  fleetctl ssh 113f16a7                        a shell on the machine whose id begins so
  fleetctl ssh hello.service uptime            a command on the machine that hello.service is on
  fleetctl ssh --machine 113f -- ls -l /run
  fleetctl list-machines --no-legend --full | cut -f1 | xargs -I@ fleetctl ssh @ uptime";

pub(super) const IMPORT_HELP: &str = "\
Shows what becomes of each unit, and does it unless --dry-run is given. A unit that is here
already keeps its file and its desired state unless --replace is given, so that an import may be
repeated. What cannot be taken is named with the reason, and makes the exit code 1.

Examples:
  fleetctl import --from http://10.0.0.1:49153 --dry-run
  fleetctl import --from http://10.0.0.1:49153 --state inactive 'web@*.service'
  fleetctl import backup";

pub(super) const DRAIN_HELP: &str = "\
The cluster's leader moves them: the next one goes when the one before is what it should be on
its new machine, whatever becomes of this command. What no other machine may take stays, and is
named; global units stay, too. \"fleetctl uncordon\" ends it at any time. Several machines are all
ordered first, so that no unit goes from one of them to another, and then waited for together:
--max is for each of them, --deadline for all. What goes wrong with one keeps nothing from the
others.

Examples:
  fleetctl drain 113f16a7 8d8c2b1f
  fleetctl drain 113f16a7 --max 10 --deadline 10min";

pub(super) const WHAT_IF_HELP: &str = "\
Asks the planner that places units, on a copy of the cluster; nothing is changed. The table
shows where the units of a lost machine are in the end; those that would wait for it first
(Sticky=, MoveDelaySec=, an announced absence, the brake) are named with the time. To lose a
machine that is away already is to give it up. The exit code is 1 if units would be on no
machine that are on one now.

Examples:
  fleetctl what-if --lose 113f16a7,8d8c2b1f
  fleetctl what-if --drain rack=b
  fleetctl what-if --add 3 --like 113f16a7 --submit units/*.service";

pub(super) const WHY_HELP: &str = "\
Asks the rules that place units. For a unit that waits there is, machine by machine, all that
keeps it from there and what would have to change; machines with one fate are counted. Where
another copy is up, or may be (MoveOrder=start-first, Fence=), there is for how long, and what
ends that.

Examples:
  fleetctl why web@3
  fleetctl why --output json web@3";

pub(super) const EVENTS_HELP: &str = "\
What the leader decided and how units fared on their machines, in the order in which it was
told. TIME is UTC, by the clock of the machine that told it. The cluster keeps the last 2,000
records. Units may be patterns; units and machines may be gone by now.
Fields: time, what, unit, machine, reason
Kinds: scheduled, rescheduled, moved, unscheduled, machine-joined, machine-lost, machine-leaves,
machine-back, machine-forgotten, braked, released, drained, leading, started, ended, stopped,
failed, waits, adopted, cordoned, drains, uncordoned
Dates: 2026-11-28, '2026-11-28 10:00', 2026-11-28T10:00:00Z; UTC unless they say another zone

Examples:
  fleetctl events                              the last 50
  fleetctl events --since 1h 'web@*' 113f16a7  of some units, or of a machine
  fleetctl events --kind failed,moved --since 2026-11-28
  fleetctl events -f hello.service             go on until interrupted";

pub(super) const COMPLETION_HELP: &str = "\
Example:
  source <(fleetctl completion bash)           setup-machine.sh installs them for all users";

/// The help of a command.
pub(super) const COMMAND_HELP: &str = "\
{about-with-newline}
{usage-heading} {usage}

{all-args}

Every command also takes the global options: see fleetctl --help.{after-help}";

#[cfg(test)]
mod tests {
    use fleet::history::What;

    #[test]
    fn every_kind_of_event_is_named() {
        let (_, rest) = super::EVENTS_HELP.split_once("Kinds: ").unwrap_or_default();
        let (kinds, _) = rest.split_once("\nDates").unwrap_or_default();
        let named: Vec<&str> = kinds
            .split([',', '\n', ' '])
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(named, What::ALL.map(What::as_str));
    }
}
