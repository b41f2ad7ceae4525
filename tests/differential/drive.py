"""Runs many playbooks through ansible-core, each in a process of its own that is forked after the imports, which take longest.

Reads a JSON list of {"dir", "args"} on standard input; writes DIR/stdout and DIR/code for each.
"""

import gc
import json
import os
import sys

cases = json.load(sys.stdin)
os.environ.update(
    ANSIBLE_NOCOLOR="1",
    ANSIBLE_DEPRECATION_WARNINGS="0",
    ANSIBLE_LOCALHOST_WARNING="0",
    ANSIBLE_RETRY_FILES_ENABLED="0",
    # Lines of several hosts at once would come in any order.
    ANSIBLE_FORKS="1",
)
os.environ.pop("ANSIBLE_CONFIG", None)
os.environ.pop("ANSIBLE_INVENTORY", None)

# Imported for their side effect: what they load need not be loaded again.
import ansible.cli.playbook  # noqa: E402
import ansible.executor.playbook_executor  # noqa: E402,F401
import ansible.plugins.strategy.linear  # noqa: E402,F401

# Every task on every host is a fork: pages that the collector does not touch need not be copied.
gc.freeze()
gc.disable()

running = {}


def start(case):
    child = os.fork()
    if child:
        running[child] = case
        return
    code = 250
    try:
        os.chdir(case["dir"])
        out = os.open("stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        err = os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.argv = ["ansible-playbook", *case["args"]]
        ansible.cli.playbook.PlaybookCLI.cli_executor(sys.argv)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish():
    child, status = os.wait()
    case = running.pop(child)
    with open(os.path.join(case["dir"], "code"), "w") as file:
        file.write(str(os.waitstatus_to_exitcode(status)))


for case in cases:
    if len(running) >= (os.cpu_count() or 1):
        finish()
    start(case)
while running:
    finish()
