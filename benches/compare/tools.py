"""The tools that do the same work: the command of each, and how its output says that nothing was changed."""

import os
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / "work"
N_TASKS = 28
# ansible-core's default of 5 would be unfair, and more than this does not fit in the memory of a small controller
MOST_FORKS = 50


class Tool:
    """`key` is what TOOLS= and the results call it, `name` what the table does."""

    def __init__(self, key, name, command, environment, is_converged):
        self.key, self.name, self.command, self.environment, self.is_converged = key, name, command, environment, is_converged


def recap(output, size):
    lines = re.findall(r"^\S+ +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", output, re.MULTILINE)
    return len(lines) == size and all(line == (str(N_TASKS), "0", "0", "0") for line in lines)


def grand_total(output, size):
    found = re.search(r"Grand total +(\d+) +(\S+) +(\S+) +(\S+)", output)
    if not found:
        return False
    total, success, error, no_change = found.groups()
    # Its two questions and two guarded commands are facts, and no operations
    return int(total) == size * (N_TASKS - 4) and (success, error, no_change) == ("-", "-", total)


def silence(output, _size):
    return output == ""


def all_tools(nodewright, env, scratch):
    """Every tool; `env` is the private environment with pip's, `scratch` a home where they may leave things."""
    base = {
        "PATH": f"{env}/bin:{os.environ['PATH']}",
        "HOME": str(scratch),
        "XDG_STATE_HOME": str(scratch / "state"),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
    }
    ansible = base | {
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(scratch / "cp"),
    }
    (strategies,) = Path(env).glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy")
    mitogen = ansible | {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(strategies)}

    def playbook(folder, size):
        return [f"{env}/bin/ansible-playbook", "-i", folder / "inventory.yaml", "-f", str(min(size, MOST_FORKS)), WORK / "site.yaml"]

    return [
        Tool("nodewright", "nodewright", lambda folder, size: [nodewright, "run", WORK / "site.yaml", "-i", folder / "inventory.yaml"], base, recap),
        Tool("ssh", "ssh and sh by hand", lambda folder, size: ["sh", WORK / "by-hand.sh", folder], base, silence),
        Tool("ansible", "ansible-core, pipelining", playbook, ansible, recap),
        Tool("mitogen", "the same with Mitogen", playbook, mitogen, recap),
        Tool("pyinfra", "pyinfra", lambda folder, size: [f"{env}/bin/pyinfra", "-y", folder / "inventory.py", WORK / "deploy.py"], base, grand_total),
    ]
