#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests of the scripts themselves, against stand-ins for the measured programs
# that answer at once: options, results, resuming, interruption, failures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
"") ;;
-h | --help)
	echo "Usage: tests/scripts.sh"
	echo "Tests the scripts in deploy/, perf/ and tests/; exit status 1 when one misbehaves."
	exit 0
	;;
*)
	echo "scripts: unknown option '$1' (-h lists the options)" >&2
	exit 2
	;;
esac

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
fake=$place/build
passed=0
failed=0

# expect NAME COMMAND...: the command must succeed.
expect()
{
	local name=$1
	shift
	if "$@" >"$place/out" 2>"$place/err"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "scripts: FAILED: $name"
		sed 's/^/        /' "$place/out" "$place/err"
	fi
}

# Exit status STATUS, nothing on stdout, exactly one line on stderr.
refuses()
{
	local status=0
	"$@" >"$place/refused.out" 2>"$place/refused.err" || status=$?
	[[ $status == 2 && ! -s $place/refused.out && $(wc -l <"$place/refused.err") == 1 ]] || {
		echo "exit status $status"
		cat "$place/refused.out" "$place/refused.err"
		return 1
	}
}

# `!` before a command would hide its failure from errexit.
fails()
{
	if "$@"; then
		echo "succeeded, but should fail: $*"
		return 1
	fi
}

helps()
{
	[[ $("$1" -h 2>"$place/help.err" | wc -l) -ge 2 && ! -s $place/help.err ]]
}

fake_cluster()
{
	cat <<-'END'
	#!/usr/bin/env python3
	import json, os, sys, time
	words = sys.argv[1:]
	words = words[words.index("--") + 1:] if "--" in words else words
	if words == ["--modes"]:
	    print(os.environ.get("FAKE_MODES", "unreplicated unreplicated-signed").replace(" ", "\n"))
	    sys.exit(0)
	if words == ["-h"]:
	    print(os.environ.get("FAKE_HELP", ""))
	    sys.exit(0)
	value = lambda name: words[words.index(name) + 1]
	with open(os.environ["FAKE_LOG"], "a") as log:
	    log.write(" ".join(words) + "\n")
	if os.environ.get("FAKE_SLEEP"):
	    time.sleep(float(os.environ["FAKE_SLEEP"]))
	if os.environ.get("FAKE_FAIL", "-") in words:
	    sys.exit("oskr-cluster: no memory for the pool")
	clients = int(value("-t"))
	rate = 50000.0 if value("-m") == "unreplicated-signed" else 3e6
	rate = 900000.0 if "batch" in words else rate
	rate = min(rate, clients * 5e5)
	figures = {"throughput": rate, "errors": int(os.environ.get("FAKE_ERRORS", "0"))}
	for name in ("p50_us", "p90_us", "p99_us", "p999_us", "max_us", "mean_us"):
	    figures[name] = clients * 1e6 / rate
	figures.update(n=4, f=1, lcores=2, cpu_us_per_op=3.0, nodes=[
	    {"role": "replica", "lcore": 0}, {"role": "replica", "lcore": 0},
	    {"role": "replica", "lcore": 0}, {"role": "replica", "lcore": 1},
	    {"role": "client", "lcore": 1}])
	for node in figures["nodes"]:
	    client = node["role"] == "client"
	    node.update(signatures=0 if client else 100, verifications=200 if client else 0)
	    node.update({"completed": 100} if client else {})
	if "--instances" in words:
	    # An operation takes 2 us and 0.1 us for each instance, or ever less; half a
	    # microsecond of it is lcore 0's, the others share the rest.
	    instances = int(value("--instances"))
	    eal = sys.argv[1:sys.argv.index("--")]
	    lcores = instances + 1 if "--lcores" in eal else len(eal[eal.index("-l") + 1].split(","))
	    us = 2 + 0.1 * instances if value("-m") == "pbft" else 3 - 0.05 * instances
	    us += 2 if os.environ.get("FAKE_BENT") and instances == 4 else 0
	    shares = [us] if lcores == 1 else [0.5] + [(us - 0.5) / (lcores - 1)] * (lcores - 1)
	    figures.update(throughput=1e5, seconds=2.0, operations=200000,
	                   lcores_busy=[0.1 * share for share in shares])
	    for node in figures["nodes"][:4]:
	        node.update(batches=10, executed=430)
	if os.environ.get("FAKE_PHASES"):
	    # The second run takes five times as long: a median does not show it.
	    us = clients / 100 * (5 if open(os.environ["FAKE_LOG"]).read().count("\n") == 2 else 1)
	    figures["phases"] = {side: {"receive": us, "prove": 3 * us, "client": on_clients * us}
	                         for side, on_clients in (("replicas", 0), ("clients", 1))}
	json.dump(figures, open(value("--json"), "w"))
	END
}

fake_bench()
{
	cat <<-'END'
	#!/usr/bin/env python3
	import json, sys
	name = sys.argv[sys.argv.index("--") + 1 if "--" in sys.argv else 1]
	rate = {"ring-echo": 1e7, "sign": 5e4, "verify": 4e4}[name]
	print(json.dumps({"bench": name, "window": 1, "ops_per_s": rate,
	                  "ns_per_op": 1e9 / rate, "rtt_ns": 1000}))
	END
}

sweep_small()
{
	perf/sweep.sh --build "$fake" -m unreplicated,unreplicated-signed -t 1,4 --repeats 2 \
		--seconds 1 --out "$place/sweep" "$@"
}

sweep_writes_results()
{
	: >"$FAKE_LOG"
	sweep_small
	[[ $(wc -l <"$FAKE_LOG") == 8 && $(wc -l <"$place/sweep/sweep.csv") == 5 ]]
	[[ $(find "$place/sweep/runs" -name '*.json' | wc -l) == 8 ]]
	grep -q '<svg' "$place/sweep/curve.svg"
	[[ -s $place/sweep/curve.png ]]
	python3 -B -m json.tool "$place/sweep/sweep.json" >/dev/null
}

sweep_resumes()
{
	: >"$FAKE_LOG"
	rm "$(find "$place/sweep/runs" -name '*signed-t4*-2.json')"
	sweep_small
	[[ $(cat "$FAKE_LOG") == "-m unreplicated-signed -t 4 "* && $(wc -l <"$FAKE_LOG") == 1 ]]
}

sweep_runs_another_command_anew()
{
	: >"$FAKE_LOG"
	sweep_small -- --app kv
	[[ $(grep -c -- '--app kv' "$FAKE_LOG") == 8 ]]
}

sweep_fresh_runs_all()
{
	: >"$FAKE_LOG"
	sweep_small --fresh
	[[ $(wc -l <"$FAKE_LOG") == 8 ]]
}

sweep_takes_rates()
{
	: >"$FAKE_LOG"
	perf/sweep.sh --build "$fake" -m 'unreplicated --reply-auth batch' --rates 1000,2000 \
		--repeats 1 --seconds 1 --out "$place/rates"
	grep -q -- '--reply-auth batch -t 256 --rate 2000' "$FAKE_LOG"
}

# Interrupted in its second run: says so, keeps the first, leaves no child.
sweep_makes_the_table()
{
	: >"$FAKE_LOG"
	perf/sweep.sh --table --build "$fake" --workers 1 --repeats 2 --seconds 1 --out "$place/table"
	# Three rows with 1 and 64 clients, twice; nothing again.
	[[ $(wc -l <"$FAKE_LOG") == 16 && $(wc -l <"$place/table/table.csv") == 5 ]]
	grep -q '^| unreplicated, a signature a reply | 1 | 64 | 50 |.*154 K' "$place/table/table.md"
	grep -q '<svg' "$place/table/table.svg"
	python3 -B -m json.tool "$place/table/table.json" >/dev/null
	: >"$FAKE_LOG"
	perf/sweep.sh --table --build "$fake" --workers 1 --repeats 2 --seconds 1 --out "$place/table"
	[[ $(wc -l <"$FAKE_LOG") == 0 ]]
	fails perf/sweep.sh --table --build "$fake" --workers 1 --rows 'no such row'
}

sweep_stops_cleanly()
{
	local status=0 child
	: >"$FAKE_LOG"
	FAKE_SLEEP=1 perf/sweep.sh --build "$fake" -m unreplicated -t 1,2,3 --repeats 1 \
		--seconds 1 --out "$place/stopped" &
	child=$!
	while (($(wc -l <"$FAKE_LOG") < 2)); do
		kill -0 "$child"
		sleep 0.1
	done
	kill -INT "$child"
	wait "$child" || status=$?
	[[ $status == 130 && $(find "$place/stopped/runs" -name '*.json' | wc -l) == 1 ]]
	fails grep -las "$fake/oskr-cluster" /proc/[0-9]*/cmdline
}

sweep_tells_failures()
{
	local status=0
	FAKE_FAIL=unreplicated-signed sweep_small --fresh 2>"$place/told" || status=$?
	[[ $status == 1 && $(grep -c 'no memory for the pool' "$place/told") == 4 ]]
	grep -q '4 of 8 runs failed' "$place/told"
}

ratio_judges()
{
	perf/ratio.sh --build "$fake" --repeats 1 --seconds 1 --json "$place/ratio.json" \
		>"$place/ratio"
	# Fakes: 3 M of 10 M; 50 K of the tighter 40 K; 900 K of 50 K; 2 us of 1 us.
	python3 -B - "$place/ratio.json" <<-'END'
	import json, sys
	ratios = {r["key"]: r for r in json.load(open(sys.argv[1]))["ratios"]}
	shown = {key: (round(r["ratio"], 3), r["holds"]) for key, r in ratios.items()}
	assert shown == {"mac": (0.3, True), "none": (0.3, False), "signed": (1.25, True),
	                 "batch": (18.0, True), "latency": (2.0, True)}, shown
	assert ratios["signed"]["bound_of"] == "verify"
	END
	grep -q 'at least 0.5: MISSED' "$place/ratio"
	fails perf/ratio.sh --build "$fake" --repeats 1 --seconds 1 --strict
}

protocols_judges()
{
	local status=0
	FAKE_MODES="unreplicated pbft hotstuff zyzzyva" perf/protocols.sh --build "$fake" \
		--repeats 1 --seconds 1 --strict --json "$place/protocols.json" >"$place/protocols" ||
		status=$?
	# Fakes: a signature 20 us, a verification 25 us; 3 M ops/s, 500 K of one client.
	python3 -B - "$place/protocols.json" <<-'END'
	import json, sys
	rows = {(r["mode"], r["row"]): r for r in json.load(open(sys.argv[1]))["rows"]}
	assert len(rows) == 12, list(rows)
	signed = rows["pbft", "signed"]["bound"]
	assert round(signed["bound"]) == round(2e6 / (4 * 20 + 2 * 25)), signed
	assert round(signed["placed_bound"]) == round(1e6 / (20 + 2 * 25)), signed
	own = rows["pbft", "signed"]["own"]
	assert (own["signatures"], own["verifications"], own["sum_us"]) == (4, 2, 130), own
	assert round(own["cpu_of_sum"], 3) == round(3 / 130, 3), own
	assert rows["zyzzyva", "signed"]["bound"]["verifications_per_op"] == 4
	path = rows["hotstuff", "alone"]["bound"]
	assert path["path_us"] == 3 * (20 + 2 * 2 * 25), path
	assert path["placed_path_us"] >= path["path_us"], path
	# One certificate, by hand: on one lcore all of it, one after the other; on lcores of
	# their own a vote, two verified, and two of those in the certificate.
	sys.path.insert(0, "perf")
	from chain_model import Chain
	assert Chain([0] * 4, 0, 3, 1, 1, (20, 25)).operation_us() == 3 * 20 + 7 * 25
	assert Chain([0, 1, 2, 3], 4, 3, 1, 1, (20, 25)).operation_us() == 20 + 4 * 25
	told = {(r["mode"], d["field"]): d["holds"] for r in rows.values() for d in r["demands"]}
	assert told["pbft", "cpu_us_per_op"] and told["pbft", "of_bound"], told
	assert told["hotstuff", "of_path"] and told["zyzzyva", "of_pbft"], told
	END
	[[ $status == 0 ]]
	# The same, but a hundred times later.
	sed 's/\* 1e6 \/ rate/* 1e8 \/ rate/' "$fake/oskr-cluster" >"$place/slow"
	mkdir -p "$place/late/perf"
	cp "$fake/perf/bench" "$place/late/perf/"
	install -m 755 "$place/slow" "$place/late/oskr-cluster"
	FAKE_MODES="pbft" fails perf/protocols.sh --build "$place/late" --repeats 1 --seconds 1 \
		--strict >"$place/protocols"
	grep -q 'at most 40 us median: 200 MISSED' "$place/protocols"
}

protocols_needs_a_protocol()
{
	fails perf/protocols.sh --build "$fake" --repeats 1
	FAKE_MODES="pbft" fails perf/protocols.sh --build "$fake" --repeats 1 -m hotstuff
	FAKE_MODES="pbft" FAKE_ERRORS=1 fails perf/protocols.sh --build "$fake" --repeats 1 \
		--rows fast
}

where_shares()
{
	: >"$FAKE_LOG"
	FAKE_PHASES=1 perf/where.sh --build "$fake" --rows 'pbft fast, one' --repeats 3 --seconds 1 \
		--json "$place/where.json" >"$place/told"
	[[ $(wc -l <"$FAKE_LOG") == 3 ]]
	grep -q 'pbft fast, one client: 500 Kops/s, 3 us of CPU an operation' "$place/told"
	grep -q 'clients us .* 0.01 .* 0.03 .* 0.01 .* 0.05$' "$place/told"
	grep -q 'share .* 22.2% .* 66.7% .* 11.1% .* 100.0%$' "$place/told"
	python3 -B - "$place/where.json" <<-'END'
	import json, sys
	(row,) = json.load(open(sys.argv[1]))["rows"]
	assert row["phases"]["replicas"] == {"receive": 0.01, "prove": 0.03, "client": 0}, row
	END
}

where_tells_failures()
{
	fails perf/where.sh --build "$fake" --repeats 1 --seconds 1 2>"$place/told"
	grep -q 'counts no phases' "$place/told"
	FAKE_PHASES=1 FAKE_FAIL=zyzzyva fails perf/where.sh --build "$fake" --rows zyzzyva
}

scale_small()
{
	perf/scale.sh --build "$fake" --lcores 1 --repeats 2 --seconds 1 --out "$place/scale" "$@"
}

scale_measures()
{
	: >"$FAKE_LOG"
	scale_small --json "$place/scale.json" >"$place/told"
	cmp "$place/told" <(cat "$place/scale/scale.txt" - <<-END
		written: $place/scale/scale.txt, scale.csv, scale.json, scale.svg
	END
	)
	# Of two modes one lcore, and 1, 2, 4, 8, 14 instances, twice; in the sheet are the model's
	# 1, 14 and 30 lcores, too.
	[[ $(wc -l <"$FAKE_LOG") == 24 && $(wc -l <"$place/scale/scale.csv") == $((1 + 2 * (6 + 3))) ]]
	[[ $(grep -c '^-m pbft --profile fast -b 100 --adaptive -t 3200 --instances 14 -d 1 ' \
		"$FAKE_LOG") == 2 ]]
	[[ $(grep -c '^-m hotstuff .* -t 12800 --instances 14 -d 1 ' "$FAKE_LOG") == 2 ]]
	cmp "$place/scale.json" "$place/scale/scale.json"
	python3 -B - "$place/scale.json" <<-'END'
	import json, os, sys
	pbft, hotstuff = json.load(open(sys.argv[1]))["modes"]
	cpus = sorted(os.sched_getaffinity(0))
	def near(one, other):
	    return abs(one - other) < 1e-9 * max(1, abs(other))
	rows = {(r["kind"], r["instances"]): r for r in pbft["rows"]}
	assert len(rows) == 6, rows
	row = rows["instances", 14]
	assert row["lcores"] == 15 and row["runs"] == 2 and row["batch_mean"] == 43, row
	assert f",14@{cpus[14 % len(cpus)]} " in row["command"], row
	assert near(row["busy_us_per_op"], 3.4) and row["interrupted"], row
	assert near(row["busiest_us_per_op"], 0.5) and row["busiest_lcore"] == 0, row
	row = rows["lcores", 1]
	assert row["lcores"] == row["cpus"] == 1 and not row["interrupted"], row
	assert near(row["busy_us_per_op"], 2.1) and near(row["busiest_us_per_op"], 2.1), row
	told = [(v["instances"], round(v["ratio"], 3), v["holds"]) for v in pbft["verdicts"]]
	assert told == [(2, 1.048, True), (4, 1.143, True), (8, 1.333, False),
	                (14, 1.619, False)], told
	assert all(v["holds"] for v in hotstuff["verdicts"]), hotstuff
	model = pbft["model"]
	assert model["source"] == "model, not measured", model
	assert near(model["a_us"], 2) and near(model["b_us"], 0.1), model
	assert near(model["u_us"], 0.5) and model["u_lcore"] == 0, model
	assert near(model["residual_us"], 0) and not model["poor"], model
	line = [(p["lcores"], round(p["throughput"]), p["bound_by"]) for p in model["line"]]
	assert line == [(1, 476190, "a + b L"), (14, 2000000, "u"), (30, 2000000, "u")], line
	assert [p["measured"] for p in model["line"]] == [1e5, None, None], model
	# Less with more instances is no cost: the line is flat, at the mean of 3 - S / 20.
	model = hotstuff["model"]
	assert model["b_us"] == 0 and near(model["a_us"], 3 - 0.05 * 30 / 6), model
	assert "held at 0" in model["note"] and model["worst_instances"] == 14, model
	END
}

scale_tells()
{
	scale_small -m 'pbft -b 7' >"$place/told"
	grep -q '^S = 4: 1.143 times (process: 1.000), within 15 % of S = 1: holds$' "$place/told"
	grep -q '^S = 8: 1.333 times (process: 1.000), within 15 % of S = 1: MISSED$' "$place/told"
	grep -q '^instances  *15 .* 3.4\* .* 0.5 (#0)  *43$' "$place/told"
	grep -q 'a + b S, a = 2 us, b = 0.1 us;' "$place/told"
	grep -q 'residual 0.000 us, 0.0 % of the mean of 6 points' "$place/told"
	grep -q 'L = S =  1: .* 476 Kops/s by a + b L (model, not measured); measured 100, 0.21 of it' \
		"$place/told"
	grep -q 'L = S = 30: .*2000 Kops/s by u (model, not measured)$' "$place/told"
	[[ $(grep -c 'model, not measured' "$place/scale/scale.csv") == 3 ]]
	grep -q '<svg' "$place/scale/scale.svg"
	grep -q 'model, not measured' "$place/scale/scale.svg"
	fails scale_small -m pbft --strict
	scale_small -m pbft --instances 1,2,4 --strict
	scale_small -m hotstuff --strict
	FAKE_BENT=1 scale_small -m pbft >"$place/told"
	grep -q 'POOR FIT' "$place/told"
	scale_small -m pbft --instances 1 >"$place/told"
	grep -q '^no model: ' "$place/told"
}

scale_divides()
{
	: >"$FAKE_LOG"
	FAKE_HELP="      --pillars L   lcores" scale_small -m pbft --instances 1,4,20 --pillars all
	[[ $(grep -c -- '--instances 4 --pillars 4 -d' "$FAKE_LOG") == 2 ]]
	[[ $(grep -c -- '--instances 20 --pillars 15 -d' "$FAKE_LOG") == 2 ]]
	[[ $(grep -c -- '--instances 1 -d' "$FAKE_LOG") == 4 ]]
	: >"$FAKE_LOG"
	FAKE_HELP="      --pillars L   lcores" scale_small -m pbft --instances 1,4 --pillars none
	# More lcores than CPUs.
	FAKE_HELP="      --pillars L   lcores" scale_small -m pbft --instances 1,"$(nproc)"
	[[ $(wc -l <"$FAKE_LOG") == 12 && $(grep -c -- '--pillars' "$FAKE_LOG") == 0 ]]
	: >"$FAKE_LOG"
	scale_small -m pbft -t 10 --per-instance --floating --json "$place/scale.json" >/dev/null
	grep -q '(0-14)@(' "$place/scale.json"
	[[ $(grep -c -- '-t 10 --instances 1 ' "$FAKE_LOG") == 4 ]]
	[[ $(grep -c -- '-t 140 --instances 14 ' "$FAKE_LOG") == 2 ]]
}

# One configuration that fails costs its own rows, not the others'.
scale_tells_failures()
{
	local status=0
	FAKE_FAIL=14 scale_small -m pbft >"$place/told" 2>"$place/failed" || status=$?
	[[ $status == 1 && $(grep -c 'no memory for the pool' "$place/failed") == 2 ]]
	grep -q '2 of 12 runs failed' "$place/failed"
	grep -q '^S = 14: not measured, .*: MISSED$' "$place/told"
	grep -q '^S = 4: 1.143 times .*: holds$' "$place/told"
	FAKE_ERRORS=1 fails scale_small -m pbft >"$place/told" 2>"$place/failed"
	grep -q '1 operations had no answer or a wrong one' "$place/failed"
}

# Every mode that the build offers has a row, those that the table does not know too.
report_has_every_mode()
{
	FAKE_MODES="unreplicated pbft hotstuff raft" python3 -B deploy/report.py --build "$fake" \
		--report "$place/every" --smoke
	python3 -B - "$place/every/results.json" <<-'END'
	import json, sys
	modes = [row["mode"] for row in json.load(open(sys.argv[1]))["rows"]]
	assert modes == ["unreplicated", "pbft", "hotstuff", "raft"], modes
	END
}

report_is_whole()
{
	python3 -B deploy/report.py --build "$fake" --report "$place/report" --smoke
	python3 -B -m json.tool "$place/report/results.json" >/dev/null
	grep -q '<svg' "$place/report/index.html"
	# Self-contained: nothing is fetched.
	fails grep -qE '(src|href)="?(https?:|/|\.)|@import|url\(http' "$place/report/index.html"
	fails grep -qi 'pbft' "$place/report/index.html"
}

report_tells_failures()
{
	FAKE_FAIL=unreplicated-signed fails python3 -B deploy/report.py --build "$fake" \
		--report "$place/report" --smoke
	grep -q 'no memory for the pool' "$place/report/index.html"
}

report_tells_wrong_answers()
{
	FAKE_ERRORS=3 fails python3 -B deploy/report.py --build "$fake" \
		--report "$place/report" --smoke
}

setup_is_repeatable()
{
	deploy/setup.sh --check
}

export FAKE_LOG=$place/log
mkdir -p "$fake/perf"
fake_cluster >"$fake/oskr-cluster"
fake_bench >"$fake/perf/bench"
chmod +x "$fake/oskr-cluster" "$fake/perf/bench"

for script in deploy/setup.sh deploy/quickstart.sh perf/sweep.sh perf/ratio.sh \
	perf/protocols.sh perf/links.sh perf/scale.sh perf/regress.sh perf/where.sh tests/run.sh \
	tests/tidy.sh; do
	expect "$script -h" helps "$script"
	expect "$script refuses an unknown option" refuses "$script" --no-such-option
done
expect "quickstart refuses a missing folder" refuses deploy/quickstart.sh --build
expect "sweep refuses no mode" refuses perf/sweep.sh
expect "sweep refuses a bad count" refuses perf/sweep.sh -m unreplicated -t 0
expect "sweep refuses two counts with rates" refuses perf/sweep.sh -m a -t 1,2 --rates 5
expect "sweep refuses a build that is not there" refuses perf/sweep.sh -m a --build "$place"
expect "the table refuses workers that are not there" refuses perf/sweep.sh --table --workers 5000
expect "protocols refuses an unknown mode" refuses perf/protocols.sh -m raft
expect "ratio refuses no repeats" refuses perf/ratio.sh --repeats 0
expect "links refuses a link that is none" refuses perf/links.sh --links pigeon
expect "scale refuses lcores that are not there" refuses perf/scale.sh --lcores 5000
expect "where refuses a row that is none" refuses perf/where.sh --rows 'no such row'
expect "scale refuses instances without one" refuses perf/scale.sh --instances 2,4
# A function in `expect` runs without errexit, so each story is a shell of its own.
for story in sweep_writes_results sweep_resumes sweep_runs_another_command_anew \
	sweep_fresh_runs_all sweep_takes_rates sweep_makes_the_table sweep_stops_cleanly sweep_tells_failures \
	ratio_judges where_shares where_tells_failures scale_measures scale_tells scale_divides scale_tells_failures \
	protocols_judges protocols_needs_a_protocol report_has_every_mode \
	report_is_whole report_tells_failures report_tells_wrong_answers \
	setup_is_repeatable; do
	export -f fails sweep_small scale_small "${story?}"
	expect "$story" env place="$place" fake="$fake" bash -euo pipefail -c "$story"
done

echo "scripts: $passed of $((passed + failed)) tests passed"
((failed == 0))
