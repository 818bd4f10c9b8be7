//! The timer in systemd that stops fenced units when the machine's lease ends, whatever has become of fleetd.
//!
//! Fenced units require that `fleet-lease.target` is there, and go when it goes. Each renewal of the lease arms a timer of its own
//! before the earlier one is disarmed, so that there is always one. A timer's time is absolute, by CLOCK_MONOTONIC, so that it
//! does not matter when systemd hears of it; `OnStartupSec=` counts from systemd's own beginning, in containers too. When it
//! elapses, its service is started, which conflicts with the target: all of that happens inside of PID 1. Along with it comes
//! `fleet-lease-end@.service`, which kills what has not stopped in its time.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use zbus::wire::Type;
use zbus::{OwnedObjectPath, Variant};

use super::SystemdError;
use super::dbus::{Dbus, MODE, UnitRow};
use super::link::{MANAGER, MANAGER_PATH};

/// The target that is there as long as the machine's lease is.
pub const LEASE_TARGET: &str = "fleet-lease.target";

/// The service that is started when the lease has ended, once for each time that it does: a template.
pub const LEASE_END: &str = "fleet-lease-end@.service";

const TIMERS: &str = "fleet-fence-*.timer";
/// How late systemd may be, in microseconds.
const ACCURACY: u64 = 10_000;

type Properties<'a> = Vec<(&'a str, Variant<'a>)>;

/// The arguments of `StartTransientUnit`: the unit, the mode, and the units that come with it.
#[derive(Serialize, Type)]
struct Transient<'a>(
    &'a str,
    &'a str,
    Properties<'a>,
    Vec<(&'a str, Properties<'a>)>,
);

impl Dbus {
    /// See [`Systemd::arm`](super::Systemd::arm).
    pub(super) async fn arm_timer(&self, until: Instant) -> Result<bool, SystemdError> {
        let active = self.active().await?;
        let mut earlier: Vec<&str> = active.iter().map(|row| row.name.as_str()).collect();
        earlier.retain(|name| *name != LEASE_TARGET);
        let at = self.since_startup(until).await?;
        let name = format!("fleet-fence-{at}");
        let timer = format!("{name}.timer");
        if !earlier.contains(&&*timer) {
            self.start_timer(&name, &timer, at).await?;
        }
        let mut fell = earlier.is_empty();
        for other in earlier.into_iter().filter(|other| *other != timer) {
            fell |= self.disarm(other).await?;
        }
        // its job would wait for those of fenced units that stop, and others for it
        let is_there = |row: &UnitRow| row.name == LEASE_TARGET && row.job_type != "stop";
        if fell || !active.iter().any(is_there) {
            let (method, lease) = ("StartUnit", (LEASE_TARGET, MODE));
            let _: OwnedObjectPath = self.manager(method, &lease).await?;
        }
        Ok(fell)
    }

    /// The timers and the target, as far as they are there, or about to be: systemd does what has been asked of it when it has
    /// answered everybody.
    async fn active(&self) -> Result<Vec<UnitRow>, SystemdError> {
        let states: &[&str] = &[];
        let wanted = (states, &[TIMERS, LEASE_TARGET][..]);
        let mut rows: Vec<UnitRow> = self.manager("ListUnitsByPatterns", &wanted).await?;
        rows.retain(|row| row.active == "active" || row.job_type == "start");
        Ok(rows)
    }

    async fn start_timer(&self, name: &str, timer: &str, at: u64) -> Result<(), SystemdError> {
        let about = "The lease of this machine in its fleet ends";
        let once = vec![
            ("Description", Variant::from(about)),
            ("TimersMonotonic", Variant::from(vec![("OnStartupSec", at)])),
            ("AccuracyUSec", Variant::from(ACCURACY)),
            ("RemainAfterElapse", Variant::from(false)),
        ];
        let end = LEASE_END.replace('@', &format!("@{at}"));
        let command = ("/bin/true", vec!["/bin/true"], false);
        let then = vec![
            ("Description", Variant::from(about)),
            ("Type", Variant::from("oneshot")),
            ("Conflicts", Variant::from(vec![LEASE_TARGET])),
            ("Wants", Variant::from(vec![end])),
            ("ExecStart", Variant::from(vec![command])),
        ];
        let service = format!("{name}.service");
        let unit = Transient(timer, MODE, once, vec![(&service, then)]);
        let _: OwnedObjectPath = self.manager("StartTransientUnit", &unit).await?;
        Ok(())
    }

    /// Whether the timer has elapsed already.
    async fn disarm(&self, timer: &str) -> Result<bool, SystemdError> {
        let stopped: Result<OwnedObjectPath, _> = self.manager("StopUnit", &(timer, MODE)).await;
        match stopped {
            Err(error) if error.is_no_such_unit() => Ok(true),
            other => other.map(|_| false),
        }
    }

    /// In microseconds since systemd began.
    async fn since_startup(&self, until: Instant) -> Result<u64, SystemdError> {
        let begun: u64 = self
            .property(MANAGER_PATH, MANAGER, "UserspaceTimestampMonotonic")
            .await?;
        let left = until.saturating_duration_since(Instant::now());
        let at = monotonic() + left;
        Ok(u64::try_from(at.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_sub(begun))
    }
}

/// CLOCK_MONOTONIC, which systemd's timers go by.
fn monotonic() -> Duration {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(Duration::ZERO, Duration::from)
}
