#!/bin/bash
# Waiting for what a unit logs; a rolling restart by hand; an empty cluster.
. "$(dirname "$0")/common.inc"

is "$(fleetctl list-units --fields=unit --no-legend)" ''
fleetctl destroy $(fleetctl list-units --fields=unit --no-legend) 2>&1 | grep -q 'No units given'
fleetctl stop nosuch.service
fleetctl unload nosuch.service

unit tick.service <<'EOF'
[Service]
ExecStart=/bin/sh -c 'while :; do echo tick; sleep 0.2; done'
EOF
fleetctl start ./tick.service | grep -q 'Unit tick.service launched on '
fleetctl start tick.service
fleetctl journal -f -lines=0 tick.service >ticks &
follower=$!
wait_for grep -q tick ticks
kill $follower
wait $follower || true

before=$(fleetctl ssh tick systemctl show -p MainPID tick.service)
fleetctl stop tick.service
fleetctl status tick.service | grep -q 'inactive (dead)'
if fleetctl status tick.service >/dev/null; then fail 'it does not run'; fi
fleetctl start --block-attempts=20 tick.service
[ "$(fleetctl ssh tick systemctl show -p MainPID tick.service)" != "$before" ]
is "$(fleetctl status nosuch.service 2>&1 || true)" 'Unit nosuch.service does not exist.'
fleetctl cat tick.service | diff - tick.service
fleetctl -strict-host-key-checking=false destroy tick.service
