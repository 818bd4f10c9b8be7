#!/bin/sh
# Sets up a Debian machine to run fleet: programs, units, configuration. Run it again to upgrade.
#
#   setup-machine.sh --programs DIR --unitfiles DIR [--root DIR] [--conf LINE]... [--link] [--enable] [--now]
#
#   --programs DIR   where fleetd and fleetctl are
#   --unitfiles DIR  where fleet.service, fleet.socket and the sample fleet.conf are
#   --root DIR       set up the root in DIR instead of this machine's
#   --conf LINE      a line of fleet.conf, as in: --conf 'agent_ttl="5s"'; with none, a fleet.conf that
#                    is there stays, and where there is none the sample is put
#   --link           hard-link the programs where that is possible
#   --enable         start fleet at boot
#   --now            and start it, or restart it, right now
set -eu

prefix=/usr/local
root='' programs='' unitfiles='' link='' enable='' now='' conf=''

fail() { echo "setup-machine.sh: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
    --link) link=yes; shift; continue ;;
    --enable) enable=yes; shift; continue ;;
    --now) now=yes; shift; continue ;;
    --programs | --unitfiles | --root | --conf) [ $# -ge 2 ] || fail "$1 wants a value" ;;
    *) fail "unknown option $1" ;;
    esac
    case $1 in
    --programs) programs=$2 ;;
    --unitfiles) unitfiles=$2 ;;
    --root) root=${2%/} ;;
    --conf) conf="$conf$2
" ;;
    esac
    shift 2
done
[ -n "$programs" ] || fail 'where are the programs? --programs DIR'
[ -n "$unitfiles" ] || fail 'where are the unit files? --unitfiles DIR'
[ -z "$root" ] || [ -z "$now" ] || fail '--now starts fleet on this machine, not on another root'

# Replaces a file in one step, as the old one may be running: SOURCE TARGET MODE
put() {
    mkdir -p "${2%/*}"
    rm -f "$2.new"
    { [ -n "$link" ] && ln "$1" "$2.new" 2>/dev/null; } || cp "$1" "$2.new"
    chmod "$3" "$2.new"
    mv -f "$2.new" "$2"
}

for program in fleetd fleetctl; do
    put "$programs/$program" "$root$prefix/bin/$program" 755
done

# completions and man pages, as fleetctl itself has them; one that does not know how is no reason to fail
share=$root$prefix/share
offer() { # FILE SHELL
    mkdir -p "${1%/*}"
    "$programs/fleetctl" completion "$2" >"$1.new" 2>/dev/null && mv -f "$1.new" "$1" || rm -f "$1.new"
}
offer "$share/bash-completion/completions/fleetctl" bash
offer "$share/zsh/site-functions/_fleetctl" zsh
offer "$share/fish/vendor_completions.d/fleetctl.fish" fish
"$programs/fleetctl" man "$share/man/man1" >/dev/null 2>&1 || true

# the unit files name the programs where a distribution's package has them
units=$root$prefix/lib/systemd/system
mkdir -p "$units"
for unit in fleet.service fleet.socket; do
    sed "s|=\([-+@!:]*\)/usr/bin/fleet|=\1$prefix/bin/fleet|" "$unitfiles/$unit" >"$units/$unit.new"
    chmod 644 "$units/$unit.new"
    mv -f "$units/$unit.new" "$units/$unit"
done

mkdir -p "$root/etc/fleet"
if [ -n "$conf" ] || [ ! -e "$root/etc/fleet/fleet.conf" ]; then
    if [ -n "$conf" ]; then printf '%s' "$conf"; else cat "$unitfiles/fleet.conf"; fi >"$root/etc/fleet/fleet.conf.new"
    # it may hold a password for etcd
    chmod 600 "$root/etc/fleet/fleet.conf.new"
    mv -f "$root/etc/fleet/fleet.conf.new" "$root/etc/fleet/fleet.conf"
fi

# members of this group may talk to fleetd's socket
mkdir -p "$root$prefix/lib/sysusers.d"
echo 'g fleet -' >"$root$prefix/lib/sysusers.d/fleet.conf"
systemd-sysusers --root="${root:-/}" fleet.conf

# a running system is told what changed; another root just gets the links
[ -n "$root" ] || systemctl daemon-reload
[ -z "$enable" ] || systemctl --quiet --root="${root:-/}" enable fleet.socket fleet.service
# a restart leaves the units of the cluster alone, a stop would hand them over; the socket cannot restart under the service
[ -z "$now" ] || { systemctl start fleet.socket && systemctl restart fleet.service; }
