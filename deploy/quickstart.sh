#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first command: from a bare machine to measured protocols. Packages and
# hugepages (deploy/setup.sh), a release build, a few seconds of every protocol
# that the build offers, a table, a curve, and a report (deploy/report.py).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=
report=
setup_options=()
report_options=()
smoke=false

usage()
{
	cat <<-END
	Usage: deploy/quickstart.sh [options]

	Installs what is missing (as root), builds, runs every protocol for a few seconds,
	and writes report/index.html and report/results.json. Under three minutes after
	the build. Nothing outside this folder changes but packages and hugepages.

	  --build DIR      build folder (build, or a folder of your own where this one is
	                   not writable); configured only if it is not yet
	  --report DIR     where the report goes (report, beside the build folder)
	  --smoke          shortest runs, to see that all works; figures mean little
	  --no-hugepages   take none, and measure on 4 KiB pages
	  -h, --help       this text

	Exit status: 0 all ran and every operation was answered rightly; 1 a step failed;
	2 a bad option, or packages are missing and you are not root.
	END
}

fail()
{
	local status=$1
	shift
	printf 'quickstart: %s\n' "$*" >&2
	exit "$status"
}

step()
{
	printf '\n==> %s\n' "$*"
}

# A folder that only this user can have made: others write to /tmp too.
private_folder()
{
	local base=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}
	if mkdir -p "$base/oskr" 2>/dev/null && [[ -w $base/oskr ]]; then
		echo "$base/oskr"
		return
	fi
	base=${TMPDIR:-/tmp}/oskr-$EUID
	mkdir -m 700 "$base" 2>/dev/null || true
	[[ -d $base && ! -L $base && -O $base && -w $base ]] ||
		fail 1 "no folder to build in: $base is not yours; give --build and --report"
	echo "$base"
}

# Whether all that the build writes there may be written by this user.
folder_usable()
{
	if [[ -e $1 ]]; then
		[[ -d $1 && -w $1 && (! -e $1/.ninja_log || -w $1/.ninja_log) ]]
	else
		[[ -w $(dirname "$1") ]]
	fi
}

folders_choose()
{
	if [[ -z $build ]]; then
		build=$root/build
		folder_usable "$build" || build=$(private_folder)/build
	fi
	if [[ -z $report ]]; then
		report=$(dirname "$build")/report
	fi
	build=$(realpath -m "$build")
	report=$(realpath -m "$report")
}

describe()
{
	local cpu memory_kib system=unknown user=${USER:-$(id -un 2>/dev/null || echo "$EUID")}
	cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sed q)
	memory_kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	[[ ! -r /etc/os-release ]] ||
		system=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release)
	echo "oskr: from a bare machine to a measured cluster"
	echo "  machine  ${cpu:-unknown}, $(nproc) cores, $((memory_kib / 1048576)) GiB, $system"
	echo "  user     $user$( ((EUID == 0)) || echo ", not root: installs nothing")"
	echo "  steps    1. packages and hugepages   2. build in $build"
	echo "           3. run every protocol for some seconds   4. report in $report"
	[[ $(uname -sm) == "Linux x86_64" ]] ||
		fail 2 "this machine is $(uname -sm): oskr needs Linux on x86-64 (DPDK, IPsec-MB)"
	((memory_kib >= 2 * 1048576)) ||
		echo "  note     less than 2 GiB of memory: a run may not start"
	(($(nproc) >= 2)) || echo "  note     one core: replicas and clients share it, figures are low"
}

# The programs, one a line: all executables but the tests', which tests/run.sh builds.
programs()
{
	meson introspect "$build" --targets | python3 -B -c '
import json, os, sys
for target in json.load(sys.stdin):
    place = os.path.relpath(target["defined_in"], sys.argv[1])
    if target["type"] == "executable" and not place.startswith("tests"):
        print(os.path.relpath(target["filename"][0], sys.argv[2]))' "$root" "$build"
}

build_programs()
{
	if [[ ! -f $build/build.ninja ]]; then
		mkdir -p "$build"
		local log
		log=$(mktemp)
		echo "meson setup $build --buildtype=release"
		if ! meson setup "$build" "$root" --buildtype=release >"$log" 2>&1; then
			cat "$log" >&2
			rm -f "$log"
			fail 1 "meson could not configure the build: its message is above"
		fi
		rm -f "$log"
	fi
	local targets
	mapfile -t targets < <(programs)
	ninja -C "$build" "${targets[@]}" || fail 1 "the build failed: the compiler's message is above"
}

mode_say()
{
	local count
	count=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
	local who="as an ordinary user"
	((EUID != 0)) || who="as root"
	if [[ " ${report_options[*]} " == *" --no-hugepages "* ]]; then
		echo "mode: $who, without hugepages (asked for)"
	elif ((count > 0)); then
		echo "mode: $who, $count free hugepages of 2 MiB"
	else
		echo "mode: $who, without hugepages: figures are several times lower than with"
	fi
}

while (($# > 0)); do
	case $1 in
	--build | --report)
		[[ -n ${2:-} ]] || fail 2 "$1 needs a folder (-h lists the options)"
		if [[ $1 == --build ]]; then build=$2; else report=$2; fi
		shift
		;;
	--smoke)
		smoke=true
		report_options+=(--smoke)
		;;
	--no-hugepages)
		setup_options+=(--no-hugepages)
		report_options+=(--no-hugepages)
		;;
	-h | --help)
		usage
		exit 0
		;;
	*) fail 2 "unknown option '$1' (-h lists the options)" ;;
	esac
	shift
done

folders_choose
describe
step "1. packages and hugepages"
"$root/deploy/setup.sh" "${setup_options[@]}"
step "2. build"
build_programs
step "3. run every protocol$($smoke && echo ' (smoke: shortest runs)')"
mode_say
exec python3 -B "$root/deploy/report.py" --build "$build" --report "$report" \
	"${report_options[@]}"
