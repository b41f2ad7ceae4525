"""Runs one command and says what it cost the controller: wall time, CPU time with all its children's, the largest process's memory."""

import ctypes
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36

@dataclass
class Run:
    wall: float
    cpu: float
    rss: float  # MB
    status: int
    output: str
    passed: list | None = None  # what went over the wire, where a proxy counts it


def adopt_orphans():
    """What a command leaves running (ssh's masters) becomes our child, so that it can be ended, and its CPU time counted."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(command, environment, folder, limit=3600):
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile("r") as memory:
        # GNU time's own small memory is what its child starts with: this interpreter's would be counted as the command's
        words = ["/usr/bin/time", "-q", "-f", "%M", "-o", memory.name, *map(str, command)]
        before = own_children()
        start = time.perf_counter()
        process = subprocess.Popen(
            words, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status, used = wait(process, limit)
            wall = time.perf_counter() - start
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            orphans = end_children(but=before)
        output.seek(0)
        text = output.read().decode(errors="replace")
        cpu = used.ru_utime + used.ru_stime + orphans
        return Run(wall, cpu, int(memory.read().split()[-1]) / 1024, status, text)


def wait(process, limit):
    """The status and use of a child, which `subprocess` then does not ask for any more."""
    signal.alarm(limit)
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        signal.alarm(0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used


def end_children(but=()):
    """Ends the children that are not among these, waits for them, and returns the CPU time they took."""
    cpu = 0.0
    while children := [pid for pid in own_children() if pid not in but]:
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        for pid in children:
            deadline = time.monotonic() + 3
            while not (ended := os.wait4(pid, os.WNOHANG))[0]:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)
            cpu += ended[2].ru_utime + ended[2].ru_stime
    return cpu


def own_children():
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
