#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the fuzz targets of tests/fuzz with clang, address and undefined
# sanitizers, runs each for its share of the time, and counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build="build-fuzz"
mapfile -t all < <(printf '%s\n' tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
# What has state to go deep into, and takes long for one input: so many shares of the time.
stateful=" executor hotstuff pbft replica transfer zyzzyva "
stateful_shares=4
seconds=
targets=()

usage()
{
	cat <<-END
	Usage: tests/fuzz.sh [--build FOLDER] SECONDS [TARGET...]

	Runs the targets (all, unless some are named) for SECONDS together, each for
	an equal share, whole protocols and replicas for $stateful_shares, at least one second.
	New inputs that reach new code are kept in FOLDER/corpus/TARGET for the next
	run; the tree's own corpus is in tests/fuzz/corpus. What crashes is kept in
	FOLDER/findings: reproduce it with FOLDER/tests/fuzz/fuzz_TARGET FILE, fix
	the bug, and add the file to the tree's corpus, which every build replays.

	  --build FOLDER   where to build (build-fuzz)
	  -h, --help       this text

	Targets: ${all[*]}

	The last line is "fuzz: N executions over M targets, K findings".
	Exit status: 0 nothing found; 1 a finding, or a build failed; 2 usage.
	END
}

refuse()
{
	echo "fuzz: $* (-h lists the options)" >&2
	exit 2
}

configure()
{
	[[ ! -f $build/build.ninja ]] || return 0
	CC=clang meson setup "$build" -Dfuzz=true --buildtype=debugoptimized \
		-Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined"
}

while (($# > 0)); do
	case $1 in
	--build)
		(($# > 1)) || refuse "--build needs a folder"
		build=$2
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	-*) refuse "unknown option '$1'" ;;
	*)
		if [[ -z $seconds ]]; then
			[[ $1 =~ ^[1-9][0-9]{0,6}$ ]] || refuse "bad number of seconds '$1'"
			seconds=$1
		else
			[[ " ${all[*]} " == *" $1 "* ]] || refuse "no target '$1'"
			targets+=("$1")
		fi
		;;
	esac
	shift
done
[[ -n $seconds ]] || refuse "SECONDS is missing"
((${#targets[@]} > 0)) || targets=("${all[@]}")

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { configure && ninja -C "$build" fuzzers; } >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	echo "fuzz: the build in $build failed" >&2
	exit 1
fi

# The sanitizers' shadow memory of clang 14 can collide with addresses that newer
# kernels draw at random; where the kernel lets us, they are not drawn.
fixed_addresses=(setarch "$(uname -m)" --addr-no-randomize)
"${fixed_addresses[@]}" true 2>/dev/null || fixed_addresses=()
export ASAN_OPTIONS=detect_stack_use_after_return=0:quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1

shares_of()
{
	[[ $stateful != *" $1 "* ]] || { echo "$stateful_shares" && return; }
	echo 1
}

shares=0
for target in "${targets[@]}"; do
	shares=$((shares + $(shares_of "$target")))
done
executions=0
findings=0
mkdir -p "$build/findings"
for target in "${targets[@]}"; do
	mkdir -p "$build/corpus/$target"
	status=0
	share=$((seconds * $(shares_of "$target") / shares))
	((share > 0)) || share=1
	own=tests/fuzz/corpus/$target
	[[ -d $own ]] || own=
	nice "${fixed_addresses[@]}" "$build/tests/fuzz/fuzz_$target" -max_total_time=$share \
		-max_len=2048 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/findings/$target-" \
		"$build/corpus/$target" ${own:+"$own"} >"$log" 2>&1 || status=$?
	count=$(awk '/^stat::number_of_executed_units:/ { n = $2 }
		/^#[0-9]+/ { last = substr($1, 2) } END { print n ? n : last + 0 }' "$log")
	executions=$((executions + count))
	if ((status == 0)); then
		printf '%-14s %10d executions\n' "$target" "$count"
		continue
	fi
	findings=$((findings + 1))
	printf '%-14s %10d executions, FINDING (exit status %d)\n' "$target" "$count" "$status"
	tail -n 60 "$log"
done
echo "fuzz: $executions executions over ${#targets[@]} targets, $findings findings"
((findings == 0))
