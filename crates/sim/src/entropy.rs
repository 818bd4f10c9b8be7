//! The operating system's randomness and clocks, replaced on the threads of simulations.
//!
//! Chance enters the product in many places: pauses are drawn, leases get random ids, `select!` begins at a random
//! branch, hash maps iterate in an order of their own, in our crates and in those of others. All of it is drawn from
//! one source, the C library's `getrandom`; so this is where a seed must enter. A program that links this crate
//! has this `getrandom` in the place of the library's. On a thread that was not told a seed it asks the kernel.
//!
//! Time is tokio's, which a simulation moves by itself; but some ask the C library's `clock_gettime`: a leader begins with
//! the clock on the wall, h2 forgets broken streams after a while. On the threads of simulations it tells tokio's time, and
//! the clock on the wall is ahead of that as it has been set ([`set_clock`]).

#![expect(
    unsafe_code,
    reason = "the one way to reach what std, tokio and others draw from"
)]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_uint, c_void};
use std::time::Duration;

use tokio::time::Instant;

use crate::Chance;

thread_local! {
    static CHANCE: RefCell<Option<Chance>> = const { RefCell::new(None) };
    /// When the clocks began to run.
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// By how many seconds the clock on the wall has been set forward.
    static AHEAD: Cell<i64> = const { Cell::new(0) };
}

/// From now on all randomness of this thread comes from `chance`. What the thread has drawn before stays drawn:
/// to be called first thing on a new one.
pub(crate) fn seed(chance: Chance) {
    CHANCE.set(Some(chance));
}

/// Sets the clock on the wall of this thread's simulation by so many seconds.
pub(crate) fn set_clock(by: i64) {
    AHEAD.set(AHEAD.get() + by);
}

/// From now on this thread's clocks run with tokio's: to be called within the simulation's runtime.
pub(crate) fn start_clocks() {
    BEGUN.set(Some(Instant::now()));
}

/// How long the thread's clocks have run.
fn elapsed() -> Duration {
    // tokio asks for the time itself where none of its runtimes is left; it shall not come back here then
    let Some(begun) = BEGUN.take() else {
        return Duration::ZERO;
    };
    let elapsed = begun.elapsed();
    BEGUN.set(Some(begun));
    elapsed
}

/// Fills `bytes` from the thread's seed; false if it has none.
fn fill(bytes: &mut [u8]) -> bool {
    CHANCE.with_borrow_mut(|chance| {
        let Some(chance) = chance else { return false };
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&chance.number().to_le_bytes()[..chunk.len()]);
        }
        true
    })
}

/// getrandom(2).
///
/// # Safety
/// `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if length > 0 {
        // SAFETY: the caller's promise
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        if fill(bytes) {
            return isize::try_from(length).unwrap_or(isize::MAX);
        }
    }
    // SAFETY: the caller's promise is what the system call wants
    let got = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
    got as isize
}

/// clock_gettime(3).
///
/// # Safety
/// `time` must be valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    if CHANCE.with_borrow(Option::is_some) {
        let mut now = after(elapsed());
        if clock == libc::CLOCK_REALTIME {
            now.tv_sec += AHEAD.get();
        }
        // SAFETY: the caller's promise
        unsafe { time.write(now) };
        return 0;
    }
    // SAFETY: the caller's promise is what the system call wants
    let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    answer as c_int
}

/// 2026-01-01, for clocks of either kind.
const MOMENT: i64 = 1_767_225_600;

fn after(elapsed: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: MOMENT + elapsed.as_secs() as i64,
        tv_nsec: i64::from(elapsed.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;
    use std::hash::{BuildHasher, RandomState};
    use std::time::SystemTime;

    use super::*;

    fn on_a_thread<T: Send>(chance: Option<Chance>, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let work = || {
                if let Some(chance) = chance {
                    seed(chance);
                }
                work()
            };
            scope.spawn(work).join().unwrap()
        })
    }

    #[test]
    fn hash_maps_of_a_thread_with_a_seed_have_an_order_that_can_be_repeated() {
        let order = || {
            let map: HashMap<u32, ()> = (0..100).map(|key| (key, ())).collect();
            (
                map.into_keys().collect::<Vec<_>>(),
                RandomState::new().hash_one(7),
            )
        };
        let seeded = |seed| on_a_thread(Some(Chance::new(seed)), order);
        assert_eq!(seeded(1), seeded(1));
        assert_ne!(seeded(1), seeded(2));
        assert_ne!(on_a_thread(None, order), on_a_thread(None, order));
    }

    #[test]
    fn the_clock_on_the_wall_runs_with_the_simulation() {
        let runtime = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_time().start_paused(true).build().unwrap()
        };
        let hour = Duration::from_secs(3600);
        let passed = on_a_thread(Some(Chance::new(1)), || {
            runtime().block_on(async {
                start_clocks();
                let before = (SystemTime::now(), std::time::Instant::now());
                tokio::time::sleep(hour).await;
                (before.0.elapsed().unwrap(), before.1.elapsed())
            })
        });
        assert_eq!(passed, (hour, hour));
    }
}
