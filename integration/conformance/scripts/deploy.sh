#!/bin/bash
# Three instances of a template, one a machine, redeployed by destroy, submit and start.
. "$(dirname "$0")/common.inc"

unit app@.service <<'EOF'
[Unit]
Description=application %i

[Service]
ExecStart=/bin/sh -c 'echo version 1; exec sleep infinity'

[X-Fleet]
X-Conflicts=app@*.service
EOF

fleetctl submit app@.service
fleetctl start app@{1..3}.service
is "$(fleetctl list-units -no-legend -fields=unit | wc -l)" 3
is "$(fleetctl list-units --no-legend | awk '{print $2}' | cut -d/ -f2 | sort -u | wc -l)" 3
for u in $(fleetctl list-units -no-legend -fields=unit); do
    fleetctl status "$u" | grep -q 'Active: active (running)'
done
fleetctl list-units | grep app@2.service | grep -q running

sed -i 's/version 1/version 2/' app@.service
fleetctl submit app@.service 2>&1 | grep -q differs
for i in 1 2 3; do
    fleetctl stop app@$i.service
    fleetctl destroy app@$i.service
done
fleetctl destroy app@.service
fleetctl submit app@.service
fleetctl start app@{1..3}.service
logged() { fleetctl journal -lines=5 -output=cat "$1" | grep -q "$2"; }
for i in 1 2 3; do
    wait_for logged app@$i 'version 2'
done

fleetctl destroy $(fleetctl list-units --fields=unit --no-legend)
fleetctl destroy app@.service
