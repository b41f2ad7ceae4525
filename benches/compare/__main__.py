"""`make bench`: the same work by nodewright and its rivals, in turn, on lab hosts of this machine.

Settings by environment, all optional:
  SIZES="2 20 100 1000"  how many hosts; more than HOSTS are names that share them (nodewright only), and named so
  DELAYS="0 50"          round trips in milliseconds
  TOOLS="nodewright ssh ansible mitogen pyinfra"
  RUNS=5                 how often; a tool whose runs have taken 20 s together is not run again
  PATIENCE=180           a tool that took so many seconds for a run is left out of what follows, which is more, and named
  HOSTS=100              how many containers at most
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import measure
import report
from hosts import Hosts
from tools import all_tools

PROJECT = Path(__file__).resolve().parents[2]
TARGET = PROJECT / "target" / "bench"
ENOUGH = 20.0


def setting(name, default):
    return os.environ.get(name, default).split()


def main():
    sizes = sorted(int(size) for size in setting("SIZES", "2 20 100 1000"))
    delays = [int(delay) for delay in setting("DELAYS", "0 50")]
    runs, most, patience = (int(os.environ.get(name, default)) for name, default in (("RUNS", "5"), ("HOSTS", "100"), ("PATIENCE", "180")))
    release = PROJECT / "target" / "release"
    nodewright = Path(os.environ.get("NODEWRIGHT", release / "nodewright"))
    scratch = TARGET / "home"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    tools = all_tools(nodewright, TARGET / "env", scratch)
    wanted = setting("TOOLS", " ".join(tool.key for tool in tools))
    unknown = set(wanted) - {tool.key for tool in tools}
    if unknown:
        raise SystemExit(f"bench: no tool is called {', '.join(sorted(unknown))}")
    tools = [tool for tool in tools if tool.key in wanted]

    measure.adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGALRM, too_slow)
    results = report.Results(nodewright, TARGET / "env", [tool.name for tool in tools])
    hosts = Hosts(release / "nodewright", release / "examples" / "delay", TARGET / "inventories", most)
    try:
        is_warm, slow = False, set()
        for size in sizes:
            say(f"{size} hosts")
            hosts.grow(size)
            shared = len(hosts.addresses) if size > len(hosts.addresses) else None
            if shared:
                say(f"  simulated: {size} names on {shared} containers, nodewright only")
            converge(nodewright, hosts.write(min(size, len(hosts.addresses)), 0), scratch)
            for delay in delays:
                folder = hosts.write(size, delay)
                able = [tool for tool in tools if tool.key not in slow and (not shared or tool.key == "nodewright")]
                if not is_warm:
                    # The first run of each reads its own files from the disk
                    for tool in able:
                        once(tool, folder, size, hosts)
                    is_warm = True
                for tool, measured in in_turn(able, folder, size, hosts, runs):
                    results.add(tool, size, delay, measured, shared)
                    if measured[-1].wall > patience:
                        slow.add(tool.key)
                for tool in tools:
                    if tool.key in slow and tool not in able and not shared:
                        results.leave_out(tool, size, delay)
                if size == sizes[0] and "nodewright" in wanted:
                    results.profile(profile(tools, folder, size), size, delay)
        say("kubespray-sized content")
        content(results, nodewright, release / "examples" / "content", scratch, runs)
    finally:
        # A second Ctrl-C would leave the hosts behind
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        hosts.take_down()
        measure.end_children()
    return results.finish(TARGET / "results")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def too_slow(*_):
    raise SystemExit("bench: a run took longer than an hour")


def converge(nodewright, folder, scratch):
    """Brings the hosts to where every tool is to find them."""
    done = measure.run([nodewright, "run", report.WORK / "site.yaml", "-i", folder / "inventory.yaml"], dict(os.environ, HOME=str(scratch)), scratch)
    if done.status != 0:
        raise SystemExit(f"bench: the first run failed\n{done.output}")


def once(tool, folder, size, hosts):
    """One run, which must have found everything in place."""
    hosts.passed()
    done = measure.run(tool.command(folder, size), tool.environment, folder)
    if done.status != 0 or not tool.is_converged(done.output, size):
        raise SystemExit(f"bench: {tool.name} did not find everything in place (exit {done.status}):\n{done.output[-6000:]}")
    done.passed = hosts.passed()
    return done


def in_turn(tools, folder, size, hosts, runs):
    """Each tool's runs, round after round, so that what disturbs the machine disturbs all of them."""
    measured = {tool.key: [] for tool in tools}
    for _ in range(runs):
        for tool in tools:
            so_far = measured[tool.key]
            if sum(run.wall for run in so_far) < ENOUGH:
                so_far.append(once(tool, folder, size, hosts))
                say(f"  {tool.name}: {so_far[-1].wall:.2f} s")
    return [(tool, measured[tool.key]) for tool in tools]


def profile(tools, folder, size):
    """One run more of nodewright, which says itself what it sent."""
    (tool,) = (tool for tool in tools if tool.key == "nodewright")
    done = measure.run([*tool.command(folder, size), "--profile-to", folder / "profile.json"], tool.environment, folder)
    if done.status != 0:
        raise SystemExit(f"bench: the run with --profile-to failed\n{done.output}")
    return json.loads((folder / "profile.json").read_text())


def content(results, nodewright, generator, scratch, runs):
    """Reading, checking and planning content of kubespray's size, without any host."""
    folder = scratch / "content"
    subprocess.run([generator, folder], check=True)
    words = ["-i", folder / "inventory.yaml", folder / "site.yaml"]
    for name, command in (("check", ["check", *words]), ("list-tasks", ["run", "--list-tasks", *words])):
        measured = [measure.run([nodewright, *command], dict(os.environ, HOME=str(scratch)), folder) for _ in range(runs)]
        if measured[0].status != 0:
            raise SystemExit(f"bench: nodewright {name} failed on generated content\n{measured[0].output[-3000:]}")
        results.add_content(name, measured)


if __name__ == "__main__":
    start = time.monotonic()
    status = main()
    say(f"took {(time.monotonic() - start) / 60:.1f} minutes")
    sys.exit(status)
