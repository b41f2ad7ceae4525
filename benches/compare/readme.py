"""`scripts/bench-readme`: what `make bench` measured last becomes benches/results/ and the part of the README between the two marks."""

import json
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MEASURED = PROJECT / "target" / "bench" / "results"
KEPT = PROJECT / "benches" / "results"
BEGIN, END = "<!-- written by scripts/bench-readme -->\n", "<!-- end of what scripts/bench-readme writes -->\n"


def main():
    if not (MEASURED / "latest.json").exists():
        raise SystemExit("bench-readme: nothing was measured yet: `make bench` comes first")
    KEPT.mkdir(exist_ok=True)
    for name in ("latest.json", "latest.svg"):
        shutil.copyfile(MEASURED / name, KEPT / name)
    readme = PROJECT / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    _, tail = rest.split(END)
    readme.write_text(head + BEGIN + section(json.loads((KEPT / "latest.json").read_text())) + END + tail)


def section(measured):
    machine, versions = measured["machine"], measured["versions"]
    lines = [
        "![wall times](benches/results/latest.svg)",
        "",
        f"28 tasks that are all in place (packages, files, templates, lines, commands, services, a user), measured {measured['date']} on {machine['cores']} cores"
        f" ({machine['processor']}, {machine['memory_gb']} GB, Linux {machine['kernel']}) with "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ": "
        + "; ".join(measured["notes"])
        + ".",
        "",
        *table(measured["rows"]),
        "",
        *wire(measured),
        *simulated(measured["rows"]),
        *content(measured["content"]),
        *left_out(measured["left_out"]),
        *(f"Does not hold: {check['what']}.\n" for check in measured["checks"] if not check["holds"]),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def table(rows):
    rows = [row for row in rows if "simulated_on" not in row]
    columns = sorted({(row["hosts"], row["delay_ms"]) for row in rows})
    heads = [f"{size} hosts" + (f", {delay} ms" if delay else "") for size, delay in columns]
    yield f"| | {' | '.join(heads)} | CPU per host | memory |"
    yield "|---|" + "---:|" * (len(columns) + 2)
    own = {(row["hosts"], row["delay_ms"]): row["wall_s"] for row in rows if row["tool"] == "nodewright"}
    for name in dict.fromkeys(row["name"] for row in rows):
        found = {(row["hosts"], row["delay_ms"]): row for row in rows if row["name"] == name}
        cells = [wall(found.get(column), own.get(column)) for column in columns]
        # The slow ones are spared the largest sizes
        size, delay = max(found, key=lambda column: (column[0], -column[1]))
        row = found[size, delay]
        cells += [f"{1000 * row['cpu_s'] / size:.0f} ms", f"{row['rss_mb']:.0f} MB"]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    yield "In parentheses: how many times nodewright's time. CPU per host and memory are the controller's, with the most hosts that the tool was measured with."


def left_out(rows):
    if rows:
        words = (f"{row['name']} with {row['hosts']} hosts" + (f" and {row['delay_ms']} ms" if row["delay_ms"] else "") for row in rows)
        yield f"Left out, because less had taken too long: {', '.join(words)}."
        yield ""


def wall(row, own):
    if row is None:
        return ""
    seconds = f"{row['wall_s']:.2f} s" if row["wall_s"] < 10 else f"{row['wall_s']:.0f} s"
    if own is None or row["tool"] == "nodewright":
        return seconds
    times = row["wall_s"] / own
    return f"{seconds} ({times:.1f})" if times < 10 else f"{seconds} ({times:.0f})"


def wire(measured):
    """What travelled, as a table: the proxy's counts for every tool, and nodewright's own."""
    n_tasks = 28
    rows = [row for row in measured["rows"] if "turns" in row and row["hosts"] == measured["rows"][0]["hosts"]]
    if not rows:
        return
    delay = rows[-1]["delay_ms"]
    yield f"What travelled for each host ({rows[0]['hosts']} hosts, {delay} ms), counted by the proxy in front of it; a turn is when the controller speaks after the host did:\n"
    yield "| | connections | turns | bytes out per task | bytes in per task |"
    yield "|---|---:|---:|---:|---:|"
    for row in rows:
        if row["delay_ms"] == delay:
            size = row["hosts"]
            yield (
                f"| {row['name']} | {row['connections'] / size:.0f} | {row['turns'] / size:.0f} |"
                f" {row['bytes_out'] / size / n_tasks:.0f} | {row['bytes_in'] / size / n_tasks:.0f} |"
            )
    yield ""
    for told in measured["profiles"]:
        if told["delay_ms"] == delay:
            size, total = told["hosts"], told["total"]
            yield (
                f"nodewright's own `--profile` of one run more says, for each host: {total['channels'] / size:.0f} channels,"
                f" {total['round_trips'] / size:.0f} round trips, {total['bytes_out'] / size / n_tasks:.0f} bytes out and"
                f" {total['bytes_in'] / size / n_tasks:.0f} in per task.\n"
            )


def simulated(rows):
    for row in rows:
        if "simulated_on" in row:
            delay = f" with {row['delay_ms']} ms of round trip" if row["delay_ms"] else ""
            yield (
                f"{row['hosts']} simulated hosts (names that share {row['simulated_on']} containers){delay}: {row['wall_s']:.1f} s,"
                f" {1000 * row['cpu_s'] / row['hosts']:.1f} ms of CPU per host, {row['rss_mb']:.0f} MB.\n"
            )


def content(rows):
    what = {"check": "reading and checking", "list-tasks": "reading and planning"}
    parts = [f"{what[row['what']]} takes {row['wall_ms']:.0f} ms and {row['rss_mb']:.0f} MB" for row in rows]
    if parts:
        yield f"Content of kubespray's size (1,400 tasks, 5,000 expressions): {', '.join(parts)}.\n"


if __name__ == "__main__":
    main()
