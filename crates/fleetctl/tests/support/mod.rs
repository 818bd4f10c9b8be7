//! A cluster in memory behind a real socket, and the player of transcripts.

pub(crate) mod cluster;
pub(crate) mod operate;
pub(crate) mod server;
pub(crate) mod transcript;
