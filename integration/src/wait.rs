//! Waiting for what another process will do.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds a value, and returns it.
///
/// `look` answers `Ok` with what was waited for, or `Err` with what it saw instead.
///
/// # Errors
/// The time is up; the message says what was waited for and what was seen last.
pub fn wait_for<T, Seen: Display>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, Seen>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() >= limit => {
                bail!("waited {limit:?} for {what}; seen last: {seen}")
            }
            Err(_) => sleep(PACE),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::wait_for;

    #[test]
    fn it_returns_what_was_found_or_tells_what_was_seen_last() {
        let mut looks = 0;
        let found = wait_for("the third look", Duration::from_secs(10), || {
            looks += 1;
            if looks == 3 {
                Ok(looks)
            } else {
                Err("too early")
            }
        });
        assert_eq!(found.unwrap(), 3);

        let late = wait_for("rain", Duration::from_millis(1), || {
            Err::<(), _>("a blue sky")
        });
        assert_eq!(
            late.unwrap_err().to_string(),
            "waited 1ms for rain; seen last: a blue sky"
        );
    }
}
