#!/bin/bash
# A service and the sidekick that announces it, which goes where the service goes.
. "$(dirname "$0")/common.inc"

unit db.service <<'EOF'
[Service]
ExecStart=/bin/sleep infinity
EOF
unit db-announce.service <<'EOF'
[Unit]
BindsTo=db.service
After=db.service

[Service]
ExecStart=/bin/sleep infinity

[X-Fleet]
X-ConditionMachineOf=db.service
EOF

fleetctl start db.service db-announce.service
home() { fleetctl list-units --no-legend --full | awk -v unit="$1" '$1 == unit {print $2}'; }
is "$(home db-announce.service)" "$(home db.service)"
active() { fleetctl list-units --no-legend --fields=unit,sub | grep -q "^$1	*running"; }
wait_for active db-announce.service

machine=$(home db.service | cut -d/ -f1)
is "$(fleetctl ssh "$machine" systemctl is-active db-announce.service)" active
is "$(fleetctl ssh db-announce 'cat /etc/machine-id')" "$machine"
fleetctl list-unit-files | grep db-announce | grep -q launched
fleetctl destroy db-announce.service db.service
