//! What stories are told with.

pub(crate) mod agent;
pub(crate) mod cluster;
pub(crate) mod events;
