//! Shell patterns as Go matches them.
