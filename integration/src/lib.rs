//! The lab: real systemd machines on this host.
