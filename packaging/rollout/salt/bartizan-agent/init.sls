# Pillar: bartizan:server, bartizan:token (in an encrypted pillar; one for all hosts: bartizan token create --uses 40).
{% set bartizan = pillar['bartizan'] %}

bartizan-agent:
  pkg.installed: []
  service.running:
    - enable: true
    - reload: true
    - require:
      - cmd: bartizan-agent-enrolled
    - watch:
      - file: /etc/bartizan/agent.d/50-salt.toml

/etc/bartizan/agent.d/50-salt.toml:
  file.managed:
    - contents: |
        groups = [5]
    - check_cmd: bartizan-agent check --config
    - require:
      - pkg: bartizan-agent

# By a variable, which only root and the process itself can see; hide_output keeps it out of what the minion returns.
bartizan-agent-enrolled:
  cmd.run:
    - name: bartizan-agent enrol --server {{ bartizan['server'] }}
    - env:
      - BARTIZAN_JOIN_TOKEN: {{ bartizan['token'] }}
    - creates: /var/lib/bartizan-agent/identity/server
    - hide_output: true
    - require:
      - pkg: bartizan-agent
