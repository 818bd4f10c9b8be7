# fleet's: runs when the lease of this machine has ended, and systemd stops what is fenced (Fence=yes). Each unit has so long for its
# stop as others wait for it; what has made its stop longer (EXTEND_TIMEOUT_USEC=, a command in a drop-in) is killed then.
cd "$(dirname "$0")" || exit

end() {
    run=$(systemctl show --property=InvocationID -- "$1")
    sleep "$(sed -n 's/^StopSec=//p' "$1.d/zz-fleet-fence.conf")"
    stopping="ActiveState=deactivating
$run"
    # once for each command that follows
    while [ "$(systemctl show --property=ActiveState --property=InvocationID -- "$1" | sort)" = "$stopping" ]; do
        echo "$1 takes longer to stop than others wait for it: its processes are killed"
        systemctl kill --signal=SIGKILL -- "$1"
        sleep 0.2
    done
}

for token in *.d/fleet-fence.env; do
    [ -e "$token" ] && end "${token%.d/fleet-fence.env}" &
done
wait
