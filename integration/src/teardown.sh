# Takes a lab down: its processes, control groups, namespaces, folder. Arguments: NAME FOLDER.
# With the third argument "guard" it first waits for the end of its input; a line there calls it off.
# Two of it may be at work at once, and what is half gone already is no error.
name=$1 folder=$2
if [ "${3-}" = guard ]; then read -r _ && exit 0; fi

for top in /sys/fs/cgroup/unified /sys/fs/cgroup /sys/fs/cgroup/systemd; do
    group=$top/flotilla-lab/$name
    tries=0
    while [ -d "$group" ]; do
        # each time: a process that was just starting may have slipped in. The group goes when the last one has ended
        [ -e "$group/cgroup.kill" ] && echo 1 >"$group/cgroup.kill"
        find "$group" -depth -type d -exec rmdir {} + && break
        tries=$((tries + 1))
        [ $tries -lt 500 ] || { echo "control group $group would not go away"; exit 1; }
        sleep 0.02
    done 2>/dev/null
done
for namespace in /run/netns/"flotilla.$name" /run/netns/"flotilla.$name".*; do
    [ -e "$namespace" ] || continue
    complaint=$(ip netns delete "${namespace##*/}" 2>&1) || [ ! -e "$namespace" ] || { echo "$complaint"; exit 1; }
done
for leftover in /run/systemd/nspawn/*/"flotilla.$name".*; do
    [ -d "$leftover" ] && rmdir "$leftover" 2>/dev/null
done
rm -rf --one-file-system -- "$folder"
