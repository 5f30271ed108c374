"""Reads every example of a roll-out as the tool would that it is for, as far as that goes without a host."""

import subprocess
import sys
from pathlib import Path

import jinja2
import yaml

HERE = Path(__file__).parent
TOOLS = Path(sys.executable).parent


def run(*command):
    """A tool that ends well, or we do not."""
    subprocess.run([str(word) for word in command], check=True)


def commands(tree):
    """Every text in a tree of YAML."""
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, list):
        return [str(tree)]
    return [text for one in tree for text in commands(one)]


def main():
    run("sh", "-n", HERE / "activate.sh")
    for version in ("RHEL8", "RHEL9", "F40"):
        run(TOOLS / "ksvalidator", "--firsterror", "--version", version, HERE / "kickstart.cfg")
    run(TOOLS / "ansible-playbook", "--syntax-check", "--inventory", "localhost,",
        "--extra-vars", "bartizan_server=watch.example.net", HERE / "ansible.yml")

    cloud = (HERE / "cloud-init.yaml").read_text()
    assert cloud.startswith("#cloud-config\n"), "cloud-init takes it for something else"
    cloud = yaml.safe_load(cloud)
    known = {"write_files", "package_update", "packages", "runcmd"}
    assert set(cloud) == known, set(cloud) ^ known
    secret = [file for file in cloud["write_files"] if file["path"].endswith("token")]
    assert [file["permissions"] for file in secret] == ["0600"], secret

    salt = jinja2.Template((HERE / "salt/bartizan-agent/init.sls").read_text())
    states = yaml.safe_load(salt.render(pillar={"bartizan": {"server": "watch.example.net", "token": "bz1.x"}}))
    names = set(states) | {states["bartizan-agent-enrolled"]["cmd.run"][0]["name"]}
    for state in states.values():
        for parts in state.values():
            for part in parts if isinstance(parts, list) else []:
                for require in part.get("require", []) + part.get("watch", []):
                    assert set(require.values()) <= names, f"{require} is nowhere"

    # A token on a command line is a token in every list of processes.
    playbook = yaml.safe_load((HERE / "ansible.yml").read_text())
    for text in commands(cloud) + commands(playbook):
        assert "--token bz1" not in text and "--token {{" not in text, text
    assert "bz1.x" not in states["bartizan-agent-enrolled"]["cmd.run"][0]["name"]


main()
