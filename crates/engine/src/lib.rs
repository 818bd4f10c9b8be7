//! leader election and the loop: watch, plan, commit.
