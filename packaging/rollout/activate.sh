#!/bin/sh
# Makes this host one of the fleet: installs the agent, enrols, starts. For Spacewalk and Uyuni (remote command, or %post of
# an activation profile), Foreman snippets, and whatever else runs a script as root. May be run as often as one likes: a
# host that has joined stays as it is.
#
#   activate.sh watch.example.net[:8443] [FILE WITH THE JOIN TOKEN]
#
# The token is read from the file (default: /etc/bartizan/join.token), so that it is on no command line and in no list of
# processes; the file is removed once the host has joined. Exit codes: 0 this host is one of the fleet and its agent
# runs, 2 something was not said, 3 the package is not to be had, 5 the agent does not run; else that of
# `bartizan-agent enrol`.
set -u
server=${1:-}
token=${2:-/etc/bartizan/join.token}
joined=/var/lib/bartizan-agent/identity/server

say() { echo "bartizan: $*" >&2; }

if ! command -v bartizan-agent >/dev/null; then
    for tool in dnf yum zypper apt-get; do
        command -v "$tool" >/dev/null || continue
        case $tool in
            zypper) zypper --non-interactive install bartizan-agent ;;
            apt-get) DEBIAN_FRONTEND=noninteractive apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install bartizan-agent ;;
            *) "$tool" -y -q install bartizan-agent ;;
        esac
        break
    done
    command -v bartizan-agent >/dev/null || { say "the package bartizan-agent cannot be installed" && exit 3; }
fi

if [ ! -e "$joined" ]; then
    [ -n "$server" ] || { say "which server?" && exit 2; }
    [ -r "$token" ] || { say "there is no join token in $token" && exit 2; }
    bartizan-agent enrol --server "$server" --token - <"$token" || exit $?
fi
rm -f "$token"

systemctl enable -q bartizan-agent || exit 5
systemctl is-active -q bartizan-agent || systemctl restart bartizan-agent || exit 5
