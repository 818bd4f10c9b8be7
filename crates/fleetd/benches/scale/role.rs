//! The roles of a cluster, each of which has a thread of its own.

/// A role, with a thread of its own that bears its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Whoever measures.
    Bench,
    Store,
    Engine,
    Agents,
    Api,
}

impl Role {
    /// The thread's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Bench => "bench",
            Role::Store => "store",
            Role::Engine => "engine",
            Role::Agents => "agents",
            Role::Api => "api",
        }
    }
}
