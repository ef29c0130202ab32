#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the simulator for hours on all cores, every mode through every kind of
# fault, and prints what was covered. A failure is kept with the command that
# reproduces it.
set -euo pipefail

minutes=480
seeds=
cores=$(nproc)
program=build/oskr-sim
folder=campaign
first=1
chunk=200
modes=
presets="none loss crash byzantine twins all"
slice=false
slice_chunk=30

usage()
{
	cat <<-END
	Usage: tests/campaign.sh [OPTION]...

	  --minutes N      how long, at most (480)
	  --seeds N        of each mode through each kind of fault, at most (no limit)
	  --cores N        runs at the same time ($(nproc))
	  --program PATH   the simulator (build/oskr-sim)
	  --modes "A B"    modes to run (all of the simulator's)
	  --presets "A B"  kinds of faults ($presets)
	  --first K        from seed K on (1)
	  --folder PATH    where logs and failures are kept (campaign)
	  --slice          a few minutes of it, for tests/run.sh: some seeds of each; then, with all
	                   faults, as many as --seeds says (1000) of pbft and hotstuff, and a
	                   quarter of the others
	  --each N         how many seeds of each a slice begins with ($slice_chunk)
	  -h, --help       this text

	Exit status: 0 no failure; 1 a failure, whose log is named; 2 usage.
	END
}

while (($# > 0)); do
	case $1 in
	--minutes) minutes=$2 && shift ;;
	--seeds) seeds=$2 && shift ;;
	--presets) presets=$2 && shift ;;
	--cores) cores=$2 && shift ;;
	--program) program=$2 && shift ;;
	--modes) modes=$2 && shift ;;
	--first) first=$2 && shift ;;
	--folder) folder=$2 && shift ;;
	--slice) slice=true ;;
	--each) slice_chunk=$2 && shift ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done
if [[ ! -x $program ]]; then
	echo "campaign.sh: $program is not there: build it, or name it with --program" >&2
	exit 2
fi
if $slice; then
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	chunk=$slice_chunk
fi
mkdir -p "$folder"
rm -f "$folder"/*.log
modes=$(tr ' ' '\n' <<<"${modes:-$("$program" --modes)}")
export DEADLINE=$((EPOCHSECONDS + minutes * 60))

# One chunk of seeds of one mode through one kind of fault; its log tells the rest. None begins
# after the campaign's end: what is in the pipe before xargs is dropped then.
run_chunk()
{
	local program=$1 folder=$2 mode=$3 preset=$4 from=$5 seeds=$6
	local log=$folder/$mode.$preset.$from.log
	((EPOCHSECONDS < DEADLINE)) || return 0
	"$program" -m "$mode" --faults "$preset" --first "$from" --seeds "$seeds" --quiet \
		>"$log" 2>&1 || echo "failed: $log" >&2
}
export -f run_chunk

# Chunks of all modes and kinds of faults in turn, up to seed `last`.
rounds()
{
	local from=$first last=$1 mode preset count
	while ((from <= last && EPOCHSECONDS < DEADLINE)); do
		count=$((last - from + 1 < chunk ? last - from + 1 : chunk))
		for mode in $modes; do
			for preset in $presets; do
				echo "$program $folder $mode $preset $from $count"
			done
		done
		from=$((from + count))
	done
}

# A chunk of everything; then more seeds of the protocols, but not of the simulator's own.
slice_rounds()
{
	local all=$modes last=${seeds:-1000}
	rounds $((first + chunk - 1))
	first=$((first + chunk))
	chunk=50
	presets=all
	modes=$(grep -vxE 'quorum|pbft|hotstuff' <<<"$all" || true)
	rounds $((last / 4))
	modes=$(grep -xE 'pbft|hotstuff' <<<"$all" || true)
	rounds "$last"
}

if $slice; then
	slice_rounds
else
	rounds $((seeds ? first + seeds - 1 : 1 << 60))
fi | xargs -P "$cores" -L 1 bash -c 'run_chunk "$@"' chunk

# The table: sums of the logs' closing lines by mode and kind of fault.
awk '
function mode_of(path) {
	sub(/.*\//, "", path)
	split(path, part, ".")
	return sprintf("%-22s %-10s", part[1], part[2])
}
FNR == 1 { key = mode_of(FILENAME); seen[key] = 1; logs++; ended_before = ended }
/^seeds / {
	seeds[key] += $2; events[key] += $4; delivered[key] += $8; operations[key] += $10
	virtual[key] += $12; cpu[key] += $18; ended++
}
/^faults / { for (i = 2; i < NF; i += 2) { struck[key] += $(i + 1); kinds[$i] += $(i + 1) } }
/^failures / { failures[key] += $2; failed += $2 }
END {
	printf "%-22s %-10s %8s %12s %12s %10s %10s %10s %8s\n", "mode", "faults", "seeds",
		"events", "delivered", "operations", "struck", "virtual s", "failures"
	for (key in seen) {
		printf "%s %8d %12d %12d %10d %10d %10d %8d\n", key, seeds[key], events[key],
			delivered[key], operations[key], struck[key], virtual[key],
			failures[key] | "sort"
		all += seeds[key]; total += delivered[key]; time += cpu[key]
	}
	close("sort")
	printf "\nfaults by kind:"
	for (kind in kinds)
		printf " %s %d", kind, kinds[kind]
	printf "\n%d seeds, %.0f delivered messages a CPU second, %d failures\n", all,
		total / (time > 0 ? time : 1), failed
	if (ended < logs)
		printf "%d runs of the simulator did not end by themselves\n", logs - ended
	exit failed > 0 || ended < logs
}' "$folder"/*.log || {
	echo "failures, with the commands that reproduce them:"
	grep -h -A 3 'FAILED' "$folder"/*.log | head -40 || true
	grep -h 'reproduce:' "$folder"/*.log | head -40 || true
	exit 1
}
