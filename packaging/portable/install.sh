#!/bin/sh
# Installs the agent from this folder, as root, on a system with systemd; again for an upgrade. `install.sh --remove` takes
# it away, and leaves configuration and state: /etc/bartizan, /var/lib/bartizan-agent.
set -eu
cd "$(dirname "$0")"
user=bartizan-agent
unit=/etc/systemd/system/bartizan-agent.service

if [ "${1:-}" = --remove ]; then
    systemctl disable --now bartizan-agent.service || true
    rm -f "$unit" /usr/bin/bartizan-agent /usr/share/man/man8/bartizan-agent.8 \
        /usr/share/bash-completion/completions/bartizan-agent
    systemctl daemon-reload
    exit 0
fi

getent group "$user" >/dev/null || groupadd -r "$user"
getent passwd "$user" >/dev/null || useradd -r -M -g "$user" -d /var/lib/bartizan-agent -s /sbin/nologin "$user"
install -d -m 755 /etc/bartizan /etc/bartizan/agent.d
install -d -m 700 -o "$user" -g "$user" /var/lib/bartizan-agent
install -d -m 750 -o "$user" -g "$user" /var/log/bartizan-agent
[ -e /etc/bartizan/agent.toml ] || install -m 644 agent.toml /etc/bartizan/agent.toml
# A program that runs cannot be written to, only replaced.
install -m 755 bartizan-agent /usr/bin/bartizan-agent.new
mv -f /usr/bin/bartizan-agent.new /usr/bin/bartizan-agent
install -D -m 644 bartizan-agent.8 /usr/share/man/man8/bartizan-agent.8
install -D -m 644 bartizan-agent.bash /usr/share/bash-completion/completions/bartizan-agent
install -m 644 bartizan-agent.service "$unit"
systemctl daemon-reload
systemctl enable -q bartizan-agent.service
systemctl restart bartizan-agent.service
