"""What was measured: a table, the ratios that must hold, JSON and a chart."""

import json
import os
import platform
import statistics
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path

import matplotlib
from matplotlib import pyplot

WORK = Path(__file__).resolve().parents[1] / "work"

# What must hold.
TIMES_FASTER_THAN_ANSIBLE = 30
MS_OF_CPU_PER_HOST, FROM_SIZE = 25, 100
# "In proportion": per host no more than so many times what the largest size costs that is not simulated
IN_PROPORTION = 1.5
CONTENT_MS, CONTENT_MB = 150, 100


class Results:
    def __init__(self, nodewright, env, tools):
        self.tools = tools
        self.rows = []
        self.left_out = []
        self.profiles = []
        self.content = []
        self.about = {
            "date": date.today().isoformat(),
            "machine": machine(),
            "versions": versions(nodewright),
            "notes": [
                "all hosts are containers on the machine that also runs the tools",
                "a round trip is added by a proxy, TCP's handshake included",
                "memory is the largest process's; CPU is all of the controller's processes'",
                "sshd's MaxStartups is raised on the hosts",
                *busy(),
            ],
        }

    def add(self, tool, size, delay, runs, shared):
        row = {
            "hosts": size,
            "delay_ms": delay,
            "tool": tool.key,
            "name": tool.name,
            "wall_s": round(statistics.median(run.wall for run in runs), 3),
            "walls_s": [round(run.wall, 3) for run in runs],
            "cpu_s": round(statistics.median(run.cpu for run in runs), 3),
            "rss_mb": round(max(run.rss for run in runs), 1),
        }
        if shared:
            row["simulated_on"] = shared
        if runs[-1].passed:
            row |= dict(zip(("connections", "turns", "bytes_out", "bytes_in"), runs[-1].passed))
        self.rows.append(row)

    def leave_out(self, tool, size, delay):
        self.left_out.append({"hosts": size, "delay_ms": delay, "tool": tool.key, "name": tool.name})

    def profile(self, told, size, delay):
        def counts(of):
            return {name: of[name] for name in ("round_trips", "bytes_out", "bytes_in")}

        total = {name: told["total"][name] for name in ("connections", "channels")} | counts(told["total"])
        tasks = [{"name": task["name"], **counts(task["total"])} for task in told["tasks"]]
        self.profiles.append({"hosts": size, "delay_ms": delay, "total": total, "tasks": tasks})

    def add_content(self, name, runs):
        self.content.append(
            {
                "what": name,
                "wall_ms": round(1000 * statistics.median(run.wall for run in runs), 1),
                "walls_ms": [round(1000 * run.wall, 1) for run in runs],
                "cpu_ms": round(1000 * statistics.median(run.cpu for run in runs), 1),
                "rss_mb": round(max(run.rss for run in runs), 1),
            }
        )

    def of(self, tool, size, delay):
        found = (row for row in self.rows if (row["tool"], row["hosts"], row["delay_ms"]) == (tool, size, delay))
        return next(found, None)

    def finish(self, folder):
        """Prints and writes everything; the exit status says whether what must hold does."""
        checks = self.checks()
        folder.mkdir(parents=True, exist_ok=True)
        whole = {**self.about, "rows": self.rows, "left_out": self.left_out, "profiles": self.profiles, "content": self.content, "checks": checks}
        (folder / "latest.json").write_text(json.dumps(whole, indent=1) + "\n")
        chart(self.rows, folder / "latest.svg")
        print(self.table())
        for check in checks:
            print(f"{'holds' if check['holds'] else 'FAILS'}: {check['what']}")
        print(f"results: {folder}/latest.json, latest.svg (scripts/bench-readme puts them into the README)")
        return 0 if all(check["holds"] for check in checks) else 1

    def table(self):
        about = self.about["machine"]
        lines = [
            "",
            f"{about['cores']} cores ({about['processor']}), {about['memory_gb']} GB, Linux {about['kernel']}, {self.about['date']}",
            ", ".join(f"{name} {what}" for name, what in self.about["versions"].items()),
            "28 tasks, all in place. " + "; ".join(self.about["notes"]) + ".",
            "",
            f"{'hosts':>5} {'added':>6}  {'':25} {'wall':>9} {'CPU':>8} {'CPU/host':>9} {'memory':>8}  {'to ssh by hand':>14} {'to nodewright':>13}",
        ]
        for row in self.rows:
            size, delay = row["hosts"], row["delay_ms"]
            by_hand, own = self.of("ssh", size, delay), self.of("nodewright", size, delay)
            mark = f" on {row['simulated_on']}" if "simulated_on" in row else ""
            lines.append(
                f"{size:>5} {delay:>3} ms  {row['name'] + mark:25} {row['wall_s']:>7.2f} s {row['cpu_s']:>6.2f} s"
                f" {1000 * row['cpu_s'] / size:>6.1f} ms {row['rss_mb']:>5.0f} MB  {ratio(row, by_hand):>14} {ratio(row, own):>13}"
            )
        for row in self.left_out:
            lines.append(f"{row['hosts']:>5} {row['delay_ms']:>3} ms  {row['name']:25} left out: it took too long with fewer hosts or less delay (PATIENCE)")
        lines += ["", *self.wire(), ""]
        for row in self.content:
            lines.append(
                f"kubespray-sized content, {row['what']}: {row['wall_ms']:.0f} ms, CPU {row['cpu_ms']:.0f} ms, {row['rss_mb']:.0f} MB"
            )
        return "\n".join([*lines, ""])

    def wire(self):
        """What went over the wire, as the proxy saw it, and as nodewright's own profile has it."""
        for row in self.rows:
            if "turns" in row and row["hosts"] == self.rows[0]["hosts"]:
                size = row["hosts"]
                up, down = row["bytes_out"] / size / 28, row["bytes_in"] / size / 28
                yield (
                    f"over the wire per host, {size} hosts, {row['delay_ms']} ms, {row['name']}: {row['connections'] / size:.0f} connections,"
                    f" {row['turns'] / size:.0f} turns, {up:.0f} bytes out and {down:.0f} in per task"
                )
        for told in self.profiles:
            total, size = told["total"], told["hosts"]
            yield (
                f"nodewright's own profile per host, {size} hosts, {told['delay_ms']} ms: {total['connections'] / size:.0f} connections,"
                f" {total['channels'] / size:.0f} channels, {total['round_trips'] / size:.1f} round trips,"
                f" {total['bytes_out'] / size / 28:.0f} bytes out and {total['bytes_in'] / size / 28:.0f} in per task"
            )

    def checks(self):
        found = []

        def check(holds, what):
            found.append({"holds": bool(holds), "what": what})

        for own in self.rows:
            if own["tool"] != "nodewright":
                continue
            size, delay = own["hosts"], own["delay_ms"]
            where = f"{size} hosts, {delay} ms: nodewright"
            by_hand, ansible = self.of("ssh", size, delay), self.of("ansible", size, delay)
            if by_hand and size == 2:
                check(
                    own["wall_s"] <= by_hand["wall_s"],
                    f"{where} takes {own['wall_s']:.2f} s, no longer than ssh by hand, {by_hand['wall_s']:.2f} s",
                )
            if ansible:
                times = ansible["wall_s"] / own["wall_s"]
                check(
                    times >= TIMES_FASTER_THAN_ANSIBLE,
                    f"{where} is {times:.0f} times as fast as ansible-core with pipelining, at least {TIMES_FASTER_THAN_ANSIBLE}",
                )
            ms = 1000 * own["cpu_s"] / size
            if "simulated_on" in own:
                smaller = [row for row in self.rows if row["tool"] == "nodewright" and "simulated_on" not in row and row["delay_ms"] == delay]
                if smaller and smaller[-1]["hosts"] >= FROM_SIZE:
                    before = smaller[-1]
                    for what, unit, key in (("CPU", "s", "cpu_s"), ("memory", "MB", "rss_mb")):
                        most = before[key] * size / before["hosts"] * IN_PROPORTION
                        check(
                            own[key] <= most,
                            f"{where} takes {own[key]:.1f} {unit} of {what}, in proportion to {before[key]:.1f} {unit} for {before['hosts']} hosts",
                        )
            elif size >= FROM_SIZE:
                check(ms < MS_OF_CPU_PER_HOST, f"{where} takes {ms:.1f} ms of CPU per host, under {MS_OF_CPU_PER_HOST} ({own['rss_mb']:.0f} MB)")
        for row in self.content:
            check(
                row["wall_ms"] < CONTENT_MS and row["rss_mb"] < CONTENT_MB,
                f"kubespray-sized content: {row['what']} takes {row['wall_ms']:.0f} ms and {row['rss_mb']:.0f} MB,"
                f" under {CONTENT_MS} ms and {CONTENT_MB} MB",
            )
        return found


def ratio(row, other):
    return f"{row['wall_s'] / other['wall_s']:.2f}" if other else "-"


def chart(rows, path):
    """Wall times as bars on a logarithmic axis: a panel for each delay, in it a group for each size."""
    rows = [row for row in rows if "simulated_on" not in row]
    delays = sorted({row["delay_ms"] for row in rows})
    sizes = sorted({row["hosts"] for row in rows}, reverse=True)
    names = list(dict.fromkeys(row["name"] for row in rows))
    # Text stays text, and the same numbers make the same file
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif", "font.size": 9})
    figure, axes = pyplot.subplots(1, len(delays), sharey=True, squeeze=False, figsize=(9, 0.9 + len(sizes) * (0.22 * len(names) + 0.2)))
    width = 0.85 / len(names)
    for axis, delay in zip(axes[0], delays):
        for number, name in enumerate(names):
            found = {row["hosts"]: row["wall_s"] for row in rows if row["name"] == name and row["delay_ms"] == delay}
            places = [place + (len(names) / 2 - number - 0.5) * width for place, size in enumerate(sizes) if size in found]
            walls = [found[size] for size in sizes if size in found]
            bars = axis.barh(places, walls, height=width * 0.9, label=name, color=f"C{number}")
            axis.bar_label(bars, [f"{wall:.2f} s" if wall < 10 else f"{wall:.0f} s" for wall in walls], padding=2)
        axis.set_xscale("log")
        axis.set_xlim(0.1, 4 * max(row["wall_s"] for row in rows))
        axis.set_title(f"{delay} ms of round trip added" if delay else "no delay added", fontsize=10)
        axis.set_yticks(range(len(sizes)), [f"{size} hosts" for size in sizes])
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(names), frameon=False)
    figure.suptitle("28 tasks, all in place: wall time in seconds, logarithmic", fontsize=11)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def busy():
    """Numbers of a machine that does something else are worth less."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > cores / 2:
        yield f"the machine was busy with other things: a load of {load:.1f} at the start"


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": models[0] if models else platform.machine(),
        "memory_gb": round(memory / 1e9),
        "kernel": platform.release(),
    }


def versions(nodewright):
    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return (done.stdout or done.stderr).split()[-1 if command[0] == nodewright else 0].strip(",")

    pip = {name: version(name) for name in ("ansible-core", "mitogen", "pyinfra")}
    return {"nodewright": said(nodewright, "--version"), "ssh": said("ssh", "-V"), **pip, "Python": platform.python_version()}
