#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests, from a bare machine: set-up, checks of style, builds with gcc and
# clang, every suite in each, sanitizers, and the quick start's smoke run. Goes
# on after a failure, so that one run tells all; its last line counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=false
long=false
step_failed=()
begin_s=$SECONDS

usage()
{
	cat <<-END
	Usage: tests/run.sh [--quick] [--long]

	Runs all tests; builds in build-gcc, build-clang, build-asan, build-tsan.

	  --quick      style, the gcc build and its suites only
	  --long       also the rehearsals with many processes: every mode over memif,
	               namespaces and TAP devices, Ansible, hosts (ten minutes more)
	  -h, --help   this text

	The last line is "N passed, N failed": meson's tests of all builds, and the
	checks beside them (style, scripts, builds, quick start) as one each.
	Exit status: 0 nothing failed; 1 something did; 2 a bad option, or packages
	are missing and you are not root.
	END
}

say()
{
	printf '\n==> %s\n' "$*"
}

record()
{
	echo "$1 $2 0" >>"$counts"
}

# Runs a check that is not meson's: it counts as one test.
step()
{
	local name=$1 status=0 from_s=$SECONDS
	shift
	say "$name"
	"$@" </dev/null || status=$?
	if ((status == 0)); then
		record 1 0
		echo "$name: passed ($((SECONDS - from_s)) s)"
	else
		record 0 1
		step_failed+=("$name")
		echo "$name: FAILED with exit status $status ($((SECONDS - from_s)) s)"
	fi
	return $status
}

# The scripts' tests wait more than they work, so they run beside the first build.
scripts_end()
{
	local status=0
	wait "$scripts_pid" || status=$?
	cat "$scripts_log"
	return $status
}

# Configures a build folder where it is not yet, and builds all of it, or the targets named.
build()
{
	local folder=$1 compiler=$2
	shift 2
	if [[ ! -f $folder/build.ninja ]]; then
		CC=$compiler meson setup "$folder" "$@" || return 1
	fi
	ninja -C "$folder" "${targets[@]}"
}

# Runs meson's tests of a build (all, or one suite) and adds their counts.
run_suites()
{
	local folder=$1 name=$2 status=0 log
	shift 2
	log=$folder/meson-logs/testlog.json
	rm -f "$log"
	say "$name: meson test"
	"${fixed_addresses[@]}" meson test -C "$folder" --no-rebuild --print-errorlogs "${short[@]}" "$@" \
		</dev/null || status=$?
	if [[ ! -s $log ]]; then
		echo "$name: meson ran no test"
		record 0 1
		status=1
	else
		python3 -B tests/results.py "$log" "$counts"
	fi
	((status == 0)) || step_failed+=("$name: meson test")
}

# Whether any test of the build belongs to the suite.
has_suite()
{
	meson introspect "$1" --tests | python3 -B -c '
import json, sys
suites = [suite for test in json.load(sys.stdin) for suite in test["suite"]]
sys.exit(not any(suite.split(":")[-1] == sys.argv[1] for suite in suites))' "$2"
}

build_and_run()
{
	local name=$1 folder=$2 compiler=$3
	shift 3
	if step "build with $name" build "$folder" "$compiler" "$@"; then
		run_suites "$folder" "$name" "${suite_options[@]}"
	fi
}

sanitize_addresses()
{
	export ASAN_OPTIONS=abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	suite_options=(--timeout-multiplier 4)
	# Lines are what a report names; all else of debugging would take a fifth of the build's time.
	build_and_run "address and undefined sanitizers" build-asan clang \
		--buildtype=debugoptimized -Dc_args=-gline-tables-only -Db_sanitize=address,undefined \
		-Db_lundef=false -Ddebug_checks=true
	unset ASAN_OPTIONS UBSAN_OPTIONS
}

sanitize_threads()
{
	has_suite build-gcc tsan || return 0
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	suite_options=(--timeout-multiplier 8 --suite tsan)
	targets=(tests/lcore_pipe tests/lcore_helpers tests/lcore_lanes tests/lcore_lifo)
	build_and_run "thread sanitizer" build-tsan clang \
		--buildtype=debugoptimized -Dc_args=-gline-tables-only -Db_sanitize=thread \
		-Db_lundef=false
	targets=()
	unset TSAN_OPTIONS
}

# Prints what failed and the closing line; the exit status is that of the whole run.
finish()
{
	local passed failed skipped
	read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 }
		END { print p + 0, f + 0, s + 0 }' "$counts")
	say "finished in $((SECONDS - begin_s)) s"
	$long || echo "the rehearsals with many processes were left out: --long"
	local name
	for name in "${step_failed[@]}"; do
		echo "FAILED: $name"
	done
	((skipped == 0)) || echo "$skipped skipped"
	echo "$passed passed, $failed failed"
	((failed == 0 && ${#step_failed[@]} == 0 && passed > 0))
}

while (($# > 0)); do
	case $1 in
	--quick) quick=true ;;
	--long) long=true ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "run: unknown option '$1' (-h lists the options)" >&2
		exit 2
		;;
	esac
	shift
done

say "set-up"
deploy/setup.sh </dev/null

counts=$(mktemp)
scripts_log=$(mktemp)
trap 'rm -f "$counts" "$scripts_log"' EXIT
trap 'echo "run: interrupted" >&2; exit 130' INT TERM
# The sanitizers' shadow memory of clang 14 can collide with addresses that newer
# kernels draw at random; where the kernel lets us, they are not drawn.
fixed_addresses=(setarch "$(uname -m)" --addr-no-randomize)
"${fixed_addresses[@]}" true 2>/dev/null || fixed_addresses=()
suite_options=()
targets=()
short=()
$long || short=(--no-suite long)
tests/scripts.sh </dev/null >"$scripts_log" 2>&1 &
scripts_pid=$!
step "style" tests/tidy.sh || true
gcc_built=true
step "build with gcc, release" build build-gcc gcc --buildtype=release || gcc_built=false
step "scripts" scripts_end || true
! $gcc_built || run_suites build-gcc "gcc, release" "${suite_options[@]}"
if ! $quick; then
	# Whole programs run as gcc builds them, and as clang does with its sanitizers. What is
	# simulated is the same in clang's release build as in gcc's, if its hashes are.
	suite_options=(--no-suite e2e --no-suite simulated)
	build_and_run "clang, release" build-clang clang --buildtype=release
	step "the same hashes by gcc and clang" tests/sim/hash.sh \
		build-gcc/tests/sim/sim-here build-clang/tests/sim/sim-here || true
	sanitize_addresses
	sanitize_threads
	step "instructions an operation" perf/regress.sh || true
	step "quick start, smoke run" deploy/quickstart.sh --smoke --build build-gcc \
		--report build-gcc/report || true
fi
finish
