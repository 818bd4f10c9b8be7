//! one machine's loop: schedule in, systemd orders out, unit states back.
