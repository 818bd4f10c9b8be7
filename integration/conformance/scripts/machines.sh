#!/bin/bash
# Over all machines, by the list and ssh; the tunnel, keys and the question about them.
. "$(dirname "$0")/common.inc"

for machine in $(fleetctl list-machines --no-legend --full | awk '{print $1}'); do
    is "$(fleetctl ssh "$machine" cat /etc/machine-id)" "$machine"
done
is "$(fleetctl list-machines -no-legend -l -fields=machine,ip | cut -f2 | tail -1 | cut -d. -f1-3)" 10.99.0

# the bastion by a flag, with a port, and its key asked about once
bastion=${FLEETCTL_TUNNEL%:*}
unset FLEETCTL_TUNNEL
export FLEETCTL_STRICT_HOST_KEY_CHECKING=true FLEETCTL_KNOWN_HOSTS_FILE=$PWD/known_hosts
printf yes | fleetctl --tunnel "$bastion:22" list-machines --no-legend >/dev/null
is "$(fleetctl --tunnel "$bastion" list-machines --no-legend | wc -l)" 3
grep -q "^$bastion " known_hosts

# a script that must not go on when the cluster is not there
if fleetctl --endpoint http://127.0.0.1:1 list-machines 2>/dev/null; then
    fail 'there is nobody'
fi
if FLEETCTL_DRIVER=etcd FLEETCTL_ENDPOINT=http://127.0.0.1:4001 fleetctl list-units 2>complaint; then
    fail 'etcd is no way in any more'
fi
grep -q 'name a fleetd' complaint
