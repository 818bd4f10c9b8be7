//! What systemd is told of fleetd: that it is ready, what it waits for, that it lives.

use sd_notify::NotifyState;

/// The API answers, if only that it waits for etcd: booting goes on without etcd.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// fleetd is going to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells twice in each interval of a watchdog that fleetd lives; returns at once if systemd has set none.
pub async fn watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(interval / 2).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "telling systemd failed");
    }
}
