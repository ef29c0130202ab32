# SPDX-License-Identifier: Apache-2.0
"""Replicated protocols against their floors, and against what their signatures allow.

Throughput, CPU time and latency of every protocol that the build offers, medians
of runs that alternate with bare signing and verifying loops. The bounds are
arithmetic over what signatures took in each run; the formulas are printed with their figures.
"""

import argparse
import json
import shlex
import sys
import time

import chain_model
import runs

EPILOG = """
Measures, one after the other and --repeats times over:
  bound   build/perf/bench sign, verify --beside: S and V, what one takes on one lcore
          while the others do the same, as they do in a cluster. (Alone it is faster
          where CPUs share a core: by a third on a virtual machine that had two of one.)
          A host may give another speed a second later. So a row is held against what its own
          signatures took, in each run: oskr-cluster counts their cycles. The bare loops
          stand beside that, and are the bound where a run made no signature.
  real    oskr-cluster -m MODE, for every MODE of --modes that the build offers:
            fast     --profile fast -b 100 --adaptive   ops/s; CPU time an operation
            single   --profile fast -b 1                ops/s
            alone    --profile fast --adaptive -t 1     one client's median latency
            signed   --profile seed -b 100 --adaptive   ops/s, beside its bound
            silent   (where --rows names it) fast, and one replica is killed half way:
                     ops/s of the whole run, and the rate without it as a share of that
                     with it
and prints each median with what is demanded of it. The CPU time is that of the
whole process: all replicas, all clients. The rows with -b 100 have 400 clients,
chains (hotstuff, hotstuff2) 800: with three phases four blocks are open, so that 400
clients, whose answers take time to come, cannot fill blocks of 100. The bounds, with n
replicas, f faults and L lcores:
  signed    L / (n S + r V): each replica signs a reply to each operation, and the
            clients verify the r replies that they need. No division of this work over
            L lcores is faster. What the protocol signs for a batch is left out. The
            bound of the placement is printed beside it: nodes are not divided, so it is
            1 / (the busiest lcore's share of n S + r V).
  alone     for protocols whose votes are always signed: the signatures and
            verifications that must follow one another from the request to f + 1 replies.
            That is printed for replicas with an lcore each, and as the nodes lie: those
            that share one wait for each other's (perf/chain_model.py puts all of them on the
            lcores, in order). The demand is by the latter, the path that these lcores have.
Beside the bound: what all nodes did sign and verify, agreement and repetitions included,
and the whole process's CPU time (polling, too) as a multiple of that.
Exit status: 0; 1 a run failed or gave a wrong answer, or with --strict a demand is missed.
"""

BUSY_CLIENTS = 400
CHAIN_CLIENTS = 800
SINGLE_CLIENTS = 64


class Protocol:
    """What is demanded of one mode, and how many signatures its rules ask for."""

    def __init__(self, name, floors, replies_needed, path=None, busy=BUSY_CLIENTS):
        self.name = name
        self.floors = floors  # of {row: (field, limit, "at least" or "at most")}
        self.replies_needed = replies_needed  # by a client, of n and f
        self.path = path  # of n, f: (certificates, signatures, verifications, text)
        self.busy = busy  # clients that keep its batches full


def quorum(n, f):
    return (n + f) // 2 + 1


def chain_path(certificates):
    """For each certificate a replica signs its vote, the next leader verifies q - 1 votes
    beside its own, and a replica verifies q - 1 signatures beside its own."""
    def path(n, f):
        verifications = certificates * 2 * (quorum(n, f) - 1)
        return (certificates, certificates, verifications,
                f"{certificates} certificates x (S + (q - 1) V by the leader + (q - 1) V)")
    return path


PROTOCOLS = (
    Protocol("pbft", {"fast": [("throughput", 500e3, "at least"),
                               ("cpu_us_per_op", 4, "at most")],
                      "single": [("throughput", 60e3, "at least")],
                      "alone": [("p50_us", 40, "at most")],
                      "signed": [("of_bound", 0.8, "at least")]},
             lambda n, f: f + 1),
    Protocol("hotstuff", {"fast": [("throughput", 200e3, "at least")],
                          "alone": [("of_path", 1.2, "at most")],
                          "signed": [("of_bound", 0.8, "at least")]},
             lambda n, f: f + 1, chain_path(3), CHAIN_CLIENTS),
    Protocol("hotstuff2", {"alone": [("of_path", 1.2, "at most")],
                           "signed": [("of_bound", 0.8, "at least")]},
             lambda n, f: f + 1, chain_path(2), CHAIN_CLIENTS),
    Protocol("zyzzyva", {"fast": [("throughput", 200e3, "at least")],
                         "alone": [("of_pbft", 1, "at most")],
                         "signed": [("of_bound", 0.8, "at least")]},
             lambda n, f: 3 * f + 1),
)

# (key, options, clients), for every protocol; clients None: as many as keep it busy.
ROWS = (
    ("fast", ("--profile", "fast", "-b", "100", "--adaptive"), None),
    ("single", ("--profile", "fast", "-b", "1"), SINGLE_CLIENTS),
    ("alone", ("--profile", "fast", "--adaptive"), 1),
    ("signed", ("--profile", "seed", "-b", "100", "--adaptive"), None),
)
# Those that are measured only where --rows names them; {half}: half of the measured seconds.
MORE_ROWS = (
    ("silent", ("--profile", "fast", "-b", "100", "--adaptive", "--kill-leader-at", "{half}"),
     None),
)

FIELDS = ("throughput", "p50_us", "p99_us", "cpu_us_per_op")
UNITS = {"throughput": "ops/s", "cpu_us_per_op": "us CPU an operation", "p50_us": "us median",
         "of_bound": "of the bound", "of_path": "of the path as the nodes lie",
         "of_pbft": "of PBFT's median"}


class Row:
    """One command, and the runs of it."""

    def __init__(self, options, protocol, key, arguments, clients):
        self.protocol = protocol
        self.key = key
        clients = clients or protocol.busy
        self.clients = clients
        half = f"{options.seconds / 2:g}"
        arguments = [word.format(half=half) for word in arguments]
        words = ["-m", protocol.name, *arguments, "-t", str(clients),
                 "-d", f"{options.seconds:g}", "--warm", "1"]
        self.title = " ".join(words[1:-4])
        self.command = runs.cluster_command(options.build, options.eal, words)
        self.limit_s = options.seconds + 1
        self.results = []

    def once(self):
        result, _ = runs.run_cluster(self.command, self.limit_s)
        for field in FIELDS:
            if not isinstance(result.get(field), (int, float)):
                raise runs.RunFailed(f"{runs.shown(self.command)}: its JSON has no '{field}'")
        if result.get("errors"):
            raise runs.RunFailed(f"{runs.shown(self.command)}: {result['errors']} operations "
                                 "had no answer or a wrong one")
        self.results.append(result)

    def median(self, field):
        return runs.median([result[field] for result in self.results])

    def last(self, field):
        return self.results[-1][field]


class Signatures:
    """What one signature and one verification take on one of lcores that all do it, in us."""

    def __init__(self, options):
        self.options = options
        self.values = {"sign": [], "verify": []}

    def once(self, name):
        result = runs.run_bench(self.options.build, self.options.eal, [name, "--beside"])[0]
        value = result.get("ops_per_s")
        if not isinstance(value, (int, float)) or value <= 0:
            raise runs.RunFailed(f"bench {name}: no positive number 'ops_per_s' in its JSON")
        self.values[name].append(1e6 / value)

    def us(self, name):
        return runs.median(self.values[name])


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="protocols", usage="perf/protocols.sh [options]",
        description=__doc__.splitlines()[0], epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("-m", "--modes", metavar="LIST",
                        help="protocols, with commas (all that the build offers, of "
                             + ", ".join(protocol.name for protocol in PROTOCOLS) + ")")
    parser.add_argument("--rows", metavar="LIST",
                        help="which rows, with commas ("
                             + ",".join(row[0] for row in ROWS) + "; also "
                             + ",".join(row[0] for row in MORE_ROWS) + ")")
    runs.measure_options(parser)
    options = parser.parse_args(arguments)
    options.modes = names_parse(parser, options.modes, [p.name for p in PROTOCOLS])
    options.rows = names_parse(parser, options.rows, [row[0] for row in ROWS + MORE_ROWS])
    return options


def names_parse(parser, text, known):
    """The names in a list with commas, all of them known; None when there is no list."""
    if text is None:
        return None
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"'{name}' is none of {', '.join(known)}")
    if not names:
        parser.error("a list is empty")
    return names


def protocols_chosen(options):
    offered = runs.modes_offered(options.build)
    for name in options.modes or ():
        if name not in offered:
            raise runs.RunFailed(f"the build offers no mode '{name}'")
    wanted = options.modes or offered
    chosen = [p for p in PROTOCOLS if p.name in wanted and p.name in offered]
    if not chosen:
        raise runs.RunFailed("the build offers none of the protocols that this measures")
    return chosen


def measure_all(options, rows, signatures):
    """Repeats are outermost, so that a slow spell of the machine touches all alike."""
    acts = [(f"bench {name}", lambda n=name: signatures.once(n)) for name in signatures.values]
    acts += [(row.title, row.once) for row in rows]
    progress = runs.Progress(options.repeats * len(acts))
    for repeat in range(1, options.repeats + 1):
        for what, act in acts:
            progress.measure(f"{what} (repeat {repeat} of {options.repeats})",
                             options.seconds + 2, act)


def placement_us(result, replica_us, clients_us):
    """What one operation costs the busiest lcore, by the nodes that it serves."""
    loads = {}
    clients = [node for node in result["nodes"] if node["role"] == "client"]
    for node in result["nodes"]:
        share = clients_us / len(clients) if node["role"] == "client" else replica_us
        loads[node["lcore"]] = loads.get(node["lcore"], 0) + share
    return max(loads.values())


def own_times(row, signatures):
    """S and V of each run, in us: what its own took, or the bare loops'."""
    bare = signatures.us("sign"), signatures.us("verify")
    return [(result.get("signature_us") or bare[0], result.get("verification_us") or bare[1])
            for result in row.results]


def bound_signed(row, times):
    """The bound on signed replies, and how it comes about."""
    n, f, lcores = row.last("n"), row.last("f"), row.last("lcores")
    needed = row.protocol.replies_needed(n, f)
    sign_us, verify_us = runs.median([s for s, _ in times]), runs.median([v for _, v in times])
    work_us = n * sign_us + needed * verify_us
    shares = [result["throughput"] * (n * s + needed * v) / (1e6 * lcores)
              for result, (s, v) in zip(row.results, times)]
    bound = {
        "bound": 1e6 * lcores / work_us, "share": runs.median(shares),
        "sign_us": sign_us, "verify_us": verify_us,
        "formula": f"{lcores} lcores / ({n} S + {needed} V) = {lcores} / {work_us:.1f} us",
        "signatures_per_op": n, "verifications_per_op": needed,
    }
    if row.results[-1].get("nodes"):
        busiest_us = placement_us(row.results[-1], sign_us, needed * verify_us)
        bound["placed_bound"] = 1e6 / busiest_us
        bound["placed_formula"] = (f"as the nodes lie, the busiest lcore has {busiest_us:.1f} us "
                                   "of it")
    return bound


def own_signatures(row, times):
    """What all nodes signed and verified for an operation, agreement too, beside the CPU time."""
    made, verified = [], []
    for result in row.results:
        nodes = result.get("nodes", [])
        operations = sum(node.get("completed", 0) for node in nodes)
        if operations == 0 or "signatures" not in nodes[0]:
            return None
        made.append(sum(node["signatures"] for node in nodes) / operations)
        verified.append(sum(node["verifications"] for node in nodes) / operations)
    sums_us = [s * sign_us + v * verify_us
               for s, v, (sign_us, verify_us) in zip(made, verified, times)]
    cpu = [result["cpu_us_per_op"] for result in row.results]
    return {
        "signatures": runs.median(made), "verifications": runs.median(verified),
        "sum_us": runs.median(sums_us),
        "cpu_of_sum": runs.median([us / own for us, own in zip(cpu, sums_us)]) if all(sums_us)
                      else None,
    }


def nodes_placed(result):
    """The lcores of the replicas, in order, and the first client's."""
    nodes = result["nodes"]
    clients = [node["lcore"] for node in nodes if node["role"] == "client"]
    return [node["lcore"] for node in nodes if node["role"] == "replica"], clients[0]


def bound_path(row, times):
    n, f = row.last("n"), row.last("f")
    certificates, signatures, verifications, text = row.protocol.path(n, f)
    latencies = [result["p50_us"] for result in row.results]
    paths_us = [signatures * s + verifications * v for s, v in times]
    path_us = runs.median(paths_us)
    lcores, client = nodes_placed(row.results[-1])
    placed_us = [chain_model.Chain(lcores, client, quorum(n, f), f, certificates, costs)
                 .operation_us() for costs in times]
    return {
        "path_us": path_us, "q": quorum(n, f),
        "sign_us": runs.median([s for s, _ in times]),
        "verify_us": runs.median([v for _, v in times]),
        "apart_share": runs.median([p50 / us for p50, us in zip(latencies, paths_us)]),
        "placed_path_us": runs.median(placed_us),
        "share": runs.median([p50 / us for p50, us in zip(latencies, placed_us)]),
        "formula": f"{text}, q = {quorum(n, f)}: {signatures} S + {verifications} V = "
                   f"{path_us:.1f} us",
    }


def silent_rates(result):
    """Operations a second before a replica was killed, and after the service was back."""
    crash = result.get("crash")
    if not crash:
        raise runs.RunFailed("no replica was killed: its JSON has no 'crash'")
    before = crash["throughput_before"]
    gap_s = crash["gap_ms"] / 1e3
    rest_s = result["seconds"] - crash["killed_s"] - gap_s
    after = (result["operations"] - before * crash["killed_s"]) / rest_s
    return before, max(after, 0)


def silence(row):
    """What one silent replica costs: the medians of its runs."""
    rates = [silent_rates(result) for result in row.results]
    return {
        "with_ops": runs.median([before for before, _ in rates]),
        "without_ops": runs.median([after for _, after in rates]),
        "ratio": runs.median([after / before for before, after in rates]),
        "gap_ms": runs.median([result["crash"]["gap_ms"] for result in row.results]),
    }


def demand_value(field, row, bound, rows):
    """The measured side of a demand; None where its other side was not measured."""
    if field in ("of_bound", "of_path"):
        return bound["share"]
    if field == "of_pbft":
        other = [r for r in rows if r.protocol.name == "pbft" and r.key == row.key]
        return row.median("p50_us") / other[0].median("p50_us") if other else None
    return row.median(field)


def record_make(row, rows, signatures):
    """All that is known of a row, and of each demand whether it holds."""
    times = own_times(row, signatures)
    bound = None
    if row.key == "signed":
        bound = bound_signed(row, times)
    elif row.key == "alone" and row.protocol.path:
        bound = bound_path(row, times)
    demands = []
    for field, limit, kind in row.protocol.floors.get(row.key, ()):
        value = demand_value(field, row, bound, rows)
        if value is None:
            continue
        holds = value >= limit if kind == "at least" else value <= limit
        demands.append({"field": field, "unit": UNITS[field], "value": value, "limit": limit,
                        "kind": kind, "holds": holds})
    return {
        "mode": row.protocol.name, "row": row.key, "title": row.title, "clients": row.clients,
        "command": runs.shown(row.command), "medians": {f: row.median(f) for f in FIELDS},
        "values": {f: [result[f] for result in row.results] for f in FIELDS},
        "bound": bound, "demands": demands,
        "own": own_signatures(row, times),
        "silence": silence(row) if row.key == "silent" else None,
    }


def figure(value):
    return f"{runs.kilo(value)} K" if value >= 1000 else f"{value:.3g}"


def records_print(records, signatures):
    print(f"S = {signatures.us('sign'):.1f} us a signature, V = {signatures.us('verify'):.1f} us "
          "a verification, in a bare loop on one lcore while all do; medians")
    print(f"{'':58} {'ops/s':>8} {'median us':>9} {'p99 us':>7} {'CPU us/op':>9}")
    for record in records:
        medians = record["medians"]
        print(f"{record['title']:58} {figure(medians['throughput']):>8} "
              f"{runs.micro(medians['p50_us']):>9} {runs.micro(medians['p99_us']):>7} "
              f"{runs.micro(medians['cpu_us_per_op']):>9}")
        bound = record["bound"] or {}
        if bound:
            print(f"    in these runs S = {bound['sign_us']:.1f} us, V = "
                  f"{bound['verify_us']:.1f} us")
        if "bound" in bound:
            print(f"    bound {figure(bound['bound'])} ops/s = {bound['formula']}")
        if "placed_bound" in bound:
            print(f"    {bound['placed_formula']}: {figure(bound['placed_bound'])} ops/s, "
                  f"of which {medians['throughput'] / bound['placed_bound']:.2f}")
        if "path_us" in bound:
            print(f"    path {bound['formula']},")
            print(f"    the median latency is {bound['apart_share']:.2f} times that; as the nodes "
                  f"lie, the path is {bound['placed_path_us']:.1f} us")
        if record["row"] == "signed" and record["own"]:
            own = record["own"]
            print(f"    of all nodes for an operation: {own['signatures']:.2f} S + "
                  f"{own['verifications']:.2f} V = {own['sum_us']:.1f} us; the CPU time is "
                  f"{own['cpu_of_sum']:.2f} times that")
        if record["silence"]:
            rates = record["silence"]
            print(f"    one replica silent: {figure(rates['without_ops'])} ops/s of "
                  f"{figure(rates['with_ops'])}, {rates['ratio']:.2f} of it; no answer for "
                  f"{rates['gap_ms']:.0f} ms when it fell silent")
        for demand in record["demands"]:
            print(f"    demanded: {demand['kind']} {figure(demand['limit'])} {demand['unit']}: "
                  f"{figure(demand['value'])} {'holds' if demand['holds'] else 'MISSED'}")


def main(arguments):
    runs.install_signals()
    options = options_parse(arguments)
    runs.require_program(options.build, "oskr-cluster")
    runs.require_program(options.build, "perf/bench")
    options.build = options.build.resolve()
    try:
        rows = [Row(options, protocol, *row) for protocol in protocols_chosen(options)
                for row in (ROWS if options.rows is None else ROWS + MORE_ROWS)
                if options.rows is None or row[0] in options.rows]
        signatures = Signatures(options)
        measure_all(options, rows, signatures)
        records = [record_make(row, rows, signatures) for row in rows]
        records_print(records, signatures)
        result = {
            "command": shlex.join(["perf/protocols.sh", *arguments]),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": runs.machine(options.build), "repeats": options.repeats,
            "sign_us": signatures.values["sign"], "verify_us": signatures.values["verify"],
            "rows": records,
        }
        if options.json:
            runs.write_atomically(options.json, json.dumps(result, indent=1) + "\n")
    except KeyboardInterrupt:
        sys.stderr.write("\nprotocols: interrupted\n")
        return 130
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"protocols: {error}\n")
        return 1
    held = all(demand["holds"] for record in records for demand in record["demands"])
    return 1 if options.strict and not held else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
