# SPDX-License-Identifier: Apache-2.0
"""Runs every protocol of the build for some seconds, and writes the report.

Called by deploy/quickstart.sh after the build. Prints a table beside the
seed's published figures and a curve in the terminal; writes index.html, which
needs no other file, and results.json.
"""

import argparse
import html
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "perf"))
import runs  # noqa: E402
import sweep  # noqa: E402
from seed import FEW, ROWS, SEED_NOTE, SEED_POINTS, Row  # noqa: E402

# The rows whose curve is drawn, where the build offers their mode.
CURVES = ("unreplicated", "unreplicated-signed", "unreplicated --reply-auth batch",
          "pbft --adaptive", "hotstuff --adaptive", "zyzzyva --adaptive")

# What all runs together may take, and what a run costs beside its measured seconds.
BUDGET_S = 150
RUN_OVERHEAD_S = 2


class Plan:
    """How long and how much: all within the budget, however many modes there are."""

    def __init__(self, modes, smoke):
        known = {row.mode for row in ROWS}
        # A mode that is newer than the table runs as it is.
        strange = [mode for mode in modes if mode not in known]
        rows = [row for row in ROWS if row.mode in modes]
        rows += [Row(mode, mode, (), FEW) for mode in strange]
        self.curves = [curve for curve in CURVES if curve.split()[0] in modes] + strange
        self.curve_counts = (1, 2, 4, 8, 16, 32, 64, 128, 256)
        if smoke:
            first = {}
            for row in rows:
                first.setdefault(row.mode, row)
            rows = list(first.values())
            self.curves = self.curves[:1]
            self.curve_counts = (1, 64)
        elif len(self.curves) > 4:
            self.curve_counts = (1, 8, 64, 400)
        elif len(self.curves) > 3:
            self.curve_counts = (1, 4, 16, 64, 400)
        # (row, clients) of each run, in the order of the table.
        self.runs = [(row, clients) for row in rows
                     for clients in ((row.clients,) if smoke else (1, row.clients))]
        self.warm_s = 0.5
        self.curve_seconds = 1
        left_s = BUDGET_S - self.curve_run_count() * (self.curve_seconds + RUN_OVERHEAD_S)
        each_s = int(left_s / max(len(self.runs), 1)) - RUN_OVERHEAD_S
        self.seconds = 1 if smoke else max(1, min(5, each_s))

    def curve_run_count(self):
        return len(self.curves) * len(self.curve_counts)


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="report", usage="deploy/report.py --build DIR --report DIR [options]",
        description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--build", type=Path, required=True, metavar="DIR", help="build folder")
    parser.add_argument("--report", type=Path, required=True, metavar="DIR",
                        help="where index.html and results.json go")
    parser.add_argument("--smoke", action="store_true", help="shortest runs")
    parser.add_argument("--no-hugepages", action="store_true", help="measure on 4 KiB pages")
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    options.report = options.report.resolve()
    options.eal = runs.eal_no_hugepages() if options.no_hugepages else []
    return options


def table_head():
    return (f"{'':36} {'clients':>7} {'Kops/s':>7} {'median us':>9} {'p99 us':>7} {'CPU us/op':>9}"
            f"  {'seed, published'}")


def table_line(record):
    result = record["result"]
    if result is None:
        return f"{record['label']:36} {record['clients']:>7} failed: {record['error']}"
    cpu = result.get("cpu_us_per_op")
    return (f"{record['label']:36} {record['clients']:>7} {runs.kilo(result['throughput']):>7} "
            f"{runs.micro(result['p50_us']):>9} {runs.micro(result['p99_us']):>7} "
            f"{runs.micro(cpu) if isinstance(cpu, (int, float)) else '-':>9}  {record['seed']}")


def measure_rows(options, plan):
    """Runs every row; a row that fails is told and stays in the report."""
    print(table_head())
    records = []
    progress = runs.Progress(len(plan.runs))
    for row, clients in plan.runs:
        command = runs.cluster_command(options.build, options.eal, [
            "-m", row.mode, *row.extra, "-t", str(clients), "-d", str(plan.seconds),
            "--warm", str(plan.warm_s)])
        record = {"label": row.label, "mode": row.mode, "clients": clients,
                  "command": runs.shown(command),
                  "seed": row.seed if clients == row.clients else "",
                  "result": None, "error": None}
        try:
            record["result"], _ = progress.measure(
                f"{row.label}, {clients} clients", plan.seconds + RUN_OVERHEAD_S,
                lambda c=command: runs.run_cluster(c, plan.seconds + plan.warm_s))
        except runs.RunFailed as error:
            record["error"] = str(error)
        records.append(record)
        print(table_line(record), flush=True)
    return records


def measure_curve(options, plan):
    """A short sweep: (its points' rows, failures)."""
    arguments = ["-t", ",".join(map(str, plan.curve_counts)), "--repeats", "1", "--fresh",
                 "--seconds", str(plan.curve_seconds), "--warm", str(plan.warm_s),
                 "--out", str(options.report / "sweep"), "--build", str(options.build)]
    for curve in plan.curves:
        arguments += ["-m", curve]
    settings = sweep.options_parse(arguments)
    settings.eal = options.eal
    settings.out = settings.out.resolve()
    points = sweep.points_make(settings)
    failures = sweep.measure_all(settings, points, lambda point, repeat, result: None)
    rows = [{**point.row(), "command": runs.shown(point.command)}
            for point in points if point.results]
    return rows, failures


def seed_data(curves):
    """The plot's block of published points for the modes that are drawn."""
    lines = []
    for mode in dict.fromkeys(curve.split()[0] for curve in curves):
        lines += [f"{x} {y}" for x, y in SEED_POINTS.get(mode, ())]
    return '"seed, published (median)"\n' + "\n".join(lines) + "\n" if lines else ""


def draw_curve(options, plan, rows):
    """Draws in the terminal; returns the SVG's text for the page."""
    if not rows:
        return ""
    folder = options.report / "sweep"
    data, series = sweep.curve_data(rows)
    runs.write_atomically(folder / "curve.dat", data)
    columns = min(runs.terminal_columns(), 100) - 1
    drawing = sweep.plot(folder / "curve.dat", series, "dumb", size=(columns, 24 + series))
    print(drawing.strip("\n\f "))
    reference = None
    if seed_data(plan.curves):
        reference = folder / "seed.dat"
        runs.write_atomically(reference, seed_data(plan.curves))
    sweep.plot(folder / "curve.dat", series, "svg", folder / "curve.svg", reference)
    text = (folder / "curve.svg").read_text()
    return text[text.index("<svg"):]


def mode_make(records, root):
    """How the runs ran, by what the programs say of themselves in their JSON."""
    done = [record["result"] for record in records if record["result"]]
    return {
        "hugepages": bool(done) and all(result.get("hugetlb_bytes", 0) > 0 for result in done),
        "root": root,
        "eal": next((result["eal"] for result in done if result.get("eal")), None),
    }


STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #e1e6ec; --blue: #0b6bcb; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 0 0 14px; }
.lead { color: var(--soft); margin: 0 0 24px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 22px 24px; margin-top: 20px; overflow-x: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px; }
.card b { display: block; font-size: 26px; line-height: 1.2; letter-spacing: -.02em; }
.card b small { font-size: 14px; font-weight: 500; color: var(--soft); letter-spacing: 0; }
.card span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; font-size: 12.5px; color: var(--soft);
  border-bottom: 2px solid var(--line); padding: 6px 10px; white-space: nowrap; }
td { text-align: right; border-bottom: 1px solid var(--line); padding: 7px 10px;
  white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text { color: var(--soft); font-size: 13px; white-space: normal; }
td.failed { text-align: left; color: #b42318; white-space: normal; }
tr:last-child td { border-bottom: 0; }
.bar { display: inline-block; height: 8px; border-radius: 4px; background: var(--blue);
  opacity: .75; vertical-align: middle; }
svg { width: 100%; height: auto; display: block; }
p.note { color: var(--soft); font-size: 13.5px; margin: 14px 0 0; max-width: 80ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 20px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
pre { margin: 0; background: #f4f6f9; border-radius: 8px; padding: 14px 16px; overflow-x: auto;
  font: 12.5px/1.6 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
.warn { border-left: 4px solid #e8590c; }
"""


def escape(value):
    return html.escape(str(value))


def page_cards(records):
    done = [record for record in records if record["result"]]
    if not done:
        return ""
    peak = max(done, key=lambda r: r["result"]["throughput"])
    quick = min(done, key=lambda r: r["result"]["p50_us"])
    cards = [
        (runs.kilo(peak["result"]["throughput"]), "K ops/s", "highest throughput", peak),
        (runs.micro(quick["result"]["p50_us"]), "us", "lowest median latency", quick),
    ]
    signed = [r for r in done if "signature a reply" in r["label"]]
    if signed:
        best = max(signed, key=lambda r: r["result"]["throughput"])
        cards.append((runs.kilo(best["result"]["throughput"]), "K ops/s",
                      "each reply signed, each verified", best))
    cheap = [r for r in done if isinstance(r["result"].get("cpu_us_per_op"), (int, float))]
    if cheap:
        best = min(cheap, key=lambda r: r["result"]["cpu_us_per_op"])
        cards.append((runs.micro(best["result"]["cpu_us_per_op"]), "us",
                      "least CPU an operation, clients included", best))
    text = ""
    for figure, unit, what, record in cards:
        text += (f'<div class="card"><b>{figure} <small>{unit}</small></b><div>{what}</div>'
                 f'<span>{escape(record["label"])}, {plural(record["clients"])}</span></div>\n')
    return f'<div class="cards">\n{text}</div>'


def plural(clients):
    return "1 client" if clients == 1 else f"{clients} clients"


def page_row(record, peak):
    name = f"<td>{escape(record['label'])}</td><td>{record['clients']}</td>"
    result = record["result"]
    if result is None:
        return f'<tr>{name}<td class="failed" colspan="6">{escape(record["error"])}</td></tr>\n'
    cpu = result.get("cpu_us_per_op")
    cpu = runs.micro(cpu) if isinstance(cpu, (int, float)) else "-"
    width = max(2, round(90 * result["throughput"] / peak))
    return (f"<tr>{name}<td>{runs.kilo(result['throughput'])}</td>"
            f'<td class="text"><i class="bar" style="width:{width}px"></i></td>'
            f"<td>{runs.micro(result['p50_us'])}</td><td>{runs.micro(result['p99_us'])}</td>"
            f'<td>{cpu}</td><td class="text">{escape(record["seed"])}</td></tr>\n')


def page_table(records):
    peak = max((r["result"]["throughput"] for r in records if r["result"]), default=1)
    body = "".join(page_row(record, peak) for record in records)
    return ("<section><h2>Protocols</h2><table><thead><tr><th>protocol</th><th>clients</th>"
            "<th>K ops/s</th><th></th><th>median us</th><th>p99 us</th><th>CPU us/op</th>"
            f'<th class="text">seed, published</th></tr></thead><tbody>\n{body}</tbody></table>'
            f'<p class="note">{escape(SEED_NOTE)} CPU is that of all lcores together, replicas '
            "and clients, divided by the operations; polling lcores count as busy.</p></section>")


def page_machine(report):
    facts, mode = report["machine"], report["mode"]
    cores = f"{facts['cores']} of {facts['cores_total']} usable"
    pages = (f"yes, {facts['hugepages_2mib']} of 2 MiB" if mode["hugepages"]
             else "no, ordinary 4 KiB pages: several times slower")
    rows = [("processor", facts["cpu"] + (" (virtual machine)" if facts["virtual"] else "")),
            ("cores", cores), ("memory", f"{facts['memory_gib']} GiB"), ("hugepages", pages),
            ("user", "root" if mode["root"] else "ordinary user"),
            ("system", f"{facts['system']}, Linux {facts['kernel']}"),
            ("build", f"{facts['build_type']}; {facts['compiler']}"), ("DPDK", facts["dpdk"]),
            ("source", facts["source"])]
    if mode["eal"]:
        rows.append(("EAL", mode["eal"]))
    items = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>\n" for name, value in rows)
    return f"<section><h2>Machine and mode</h2><dl>\n{items}</dl></section>"


def page_commands(report):
    rows = "\n".join(escape(record["command"]) for record in report["rows"])
    curve = "\n".join(escape(row["command"]) for row in report["curve"])
    return (f"<section><h2>Exact commands</h2><pre>{rows}\n\n# the curve\n{curve}</pre>"
            '<p class="note">All of it again: <code>./deploy/quickstart.sh</code>. Curves of your '
            "own: <code>perf/sweep.sh -h</code>. Against what the machine can do: "
            "<code>perf/ratio.sh</code>.</p></section>")


def page(report, svg):
    """The whole report as one file that fetches nothing."""
    facts, mode = report["machine"], report["mode"]
    warning = ""
    if facts["build_type"] not in ("release", "unknown"):
        warning = (f'<section class="warn"><b>Measured a {escape(facts["build_type"])} build.</b> '
                   "Figures of a release build (<code>--buildtype=release</code>) are higher."
                   "</section>")
    if not mode["hugepages"]:
        warning += ('<section class="warn"><b>Measured without hugepages.</b> Run '
                    "<code>deploy/setup.sh</code> as root, where the kernel allows it, then "
                    "measure again: figures are several times higher with them.</section>")
    curve = ""
    if svg:
        curve = (f"<section><h2>Throughput and latency</h2>{svg}"
                 '<p class="note">Each point is one count of closed-loop clients '
                 f"({', '.join(map(str, report['curve_counts']))}), measured for "
                 f"{report['curve_seconds']} s. Line: median; shade: up to the 99th percentile. "
                 "Both axes are logarithmic; right and below is better.</p></section>")
    smoke = " Smoke run: shortest runs, figures mean little." if report["smoke"] else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>oskr: measured on this machine</title><style>{STYLE}</style></head><body><main>
<h1>oskr, measured on this machine</h1>
<p class="lead">{escape(facts['cpu'])}, {facts['cores']} cores, {escape(facts['system'])};
{'hugepages' if mode['hugepages'] else 'no hugepages'},
{'root' if mode['root'] else 'ordinary user'};
{escape(report['finished'])}; {report['seconds']} s a run.{smoke}</p>
{page_cards(report['rows'])}
{warning}
{page_table(report['rows'])}
{curve}
{page_machine(report)}
{page_commands(report)}
</main></body></html>
"""


def report_make(options, plan, records, curve_rows):
    machine = runs.machine(options.build)
    return {
        "finished": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "smoke": options.smoke,
        "machine": machine,
        "mode": mode_make(records, machine["root"]),
        "seconds": plan.seconds, "warm_seconds": plan.warm_s,
        "rows": records,
        "curve_counts": list(plan.curve_counts), "curve_seconds": plan.curve_seconds,
        "curve": curve_rows,
        "seed_note": SEED_NOTE,
    }


def errors_counted(records):
    return sum(record["result"].get("errors") or 0 for record in records if record["result"])


def main(arguments):
    runs.install_signals()
    options = options_parse(arguments)
    runs.require_program(options.build, "oskr-cluster")
    try:
        options.report.mkdir(parents=True, exist_ok=True)
        plan = Plan(runs.modes_offered(options.build), options.smoke)
        if not plan.runs:
            raise runs.RunFailed("the build offers no mode")
        records = measure_rows(options, plan)
        print("\n==> 4. curve and report", flush=True)
        curve_rows, curve_failures = measure_curve(options, plan)
        svg = draw_curve(options, plan, curve_rows)
        report = report_make(options, plan, records, curve_rows)
        runs.write_atomically(options.report / "results.json",
                              json.dumps(report, indent=1) + "\n")
        runs.write_atomically(options.report / "index.html", page(report, svg))
    except KeyboardInterrupt:
        sys.stderr.write("\nquickstart: interrupted\n")
        return 130
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"quickstart: {error}\n")
        return 1
    print(f"\n{SEED_NOTE}\n")
    print(f"report:  {options.report}/index.html")
    print(f"figures: {options.report}/results.json")
    failures = sum(record["result"] is None for record in records) + curve_failures
    wrong = errors_counted(records)
    if failures or wrong:
        sys.stderr.write(f"quickstart: {failures} runs failed, {wrong} operations had a wrong "
                         "answer\n")
    return 1 if failures or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
