//! What happened, as lines; and a number that tells two traces apart.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// How many of the last lines are kept.
const TAIL: usize = 200;

/// The trace of one run. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Trace(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    begun: Instant,
    aloud: bool,
    hash: u64,
    tail: VecDeque<String>,
    violation: Option<String>,
}

impl Trace {
    /// Begins now. `aloud` prints each line as it comes.
    pub(crate) fn new(aloud: bool) -> Trace {
        Trace(Arc::new(Mutex::new(Lines {
            begun: Instant::now(),
            aloud,
            hash: 0xcbf2_9ce4_8422_2325,
            tail: VecDeque::new(),
            violation: None,
        })))
    }

    /// Adds a line.
    pub(crate) fn tell(&self, what: impl fmt::Display) {
        let mut lines = self.lock();
        let line = format!("{:>11.3} {what}", lines.begun.elapsed().as_secs_f64());
        if lines.aloud {
            println!("{line}");
        }
        lines.hash(&line);
        if lines.tail.len() == TAIL {
            lines.tail.pop_front();
        }
        lines.tail.push_back(line);
    }

    /// Something happened that must not. The first time counts.
    pub(crate) fn violation(&self, what: impl fmt::Display) {
        let what = what.to_string();
        self.tell(format_args!("VIOLATION: {what}"));
        self.lock().violation.get_or_insert(what);
    }

    /// What must not have happened and did.
    pub(crate) fn violated(&self) -> Option<String> {
        self.lock().violation.clone()
    }

    /// A number of all lines so far.
    pub(crate) fn number(&self) -> u64 {
        self.lock().hash
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.lock().tail.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// FNV-1a.
    fn hash(&mut self, line: &str) {
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
