#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A long history of a running cluster whose leader is killed and starts anew:
# records every operation, and asks oskr-linear whether it is linearizable.
set -euo pipefail

build=build
mode=pbft
operations=1000000
seconds=14
seconds_max=960
kill_at=2
restart_at=4
keep=

usage()
{
	cat <<-END
	Usage: tests/linear.sh [OPTION]... [-- OPTION-OF-OSKR-CLUSTER...]

	  --build PATH      folder of oskr-cluster and oskr-linear ($build)
	  --mode NAME       the protocol ($mode)
	  --operations N    the history has at least so many ($operations)
	  --seconds N       of the first run; one that has too few is followed by one
	                    of twice the time ($seconds), up to $seconds_max
	  --kill-at S       when the leader is killed ($kill_at)
	  --restart-at S    when it starts anew, without its memory ($restart_at)
	  --keep FILE       where the history goes (a temporary file)
	  -h, --help        this text

	Exit status: 0 linearizable, with a view change in it; 1 not so, or too few
	operations in the time; 2 usage.
	END
}

# As a whole number above zero.
number()
{
	if [[ ! $2 =~ ^[1-9][0-9]*$ ]]; then
		echo "linear.sh: $1 wants a whole number, not '$2'" >&2
		exit 2
	fi
}

while (($# > 0)); do
	if [[ $1 == --* && $1 != --help && $1 != -- && $# -lt 2 ]]; then
		usage >&2
		exit 2
	fi
	case $1 in
	--build) build=$2 && shift ;;
	--mode) mode=$2 && shift ;;
	--operations) operations=$2 && shift ;;
	--seconds) seconds=$2 && shift ;;
	--kill-at) kill_at=$2 && shift ;;
	--restart-at) restart_at=$2 && shift ;;
	--keep) keep=$2 && shift ;;
	--) shift && break ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done
number --operations "$operations"
number --seconds "$seconds"
for program in oskr-cluster oskr-linear; do
	if [[ ! -x $build/$program ]]; then
		echo "linear.sh: $build/$program is not there: build it, or name it with --build" >&2
		exit 2
	fi
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
history=${keep:-$folder/history}

# Prints how many operations were answered and how many views later the run ended.
facts()
{
	python3 -B - "$folder/json" <<-'END'
	import json, sys
	with open(sys.argv[1]) as file:
	    result = json.load(file)
	crash = result["crash"]
	print(result["operations"], crash["view_after"] - crash["view_before"],
	      crash["operations_lost"])
	END
}

while true; do
	"$build/oskr-cluster" -m "$mode" --app kv -w ycsb-a --records 10000 -d "$seconds" \
		--kill-leader-at "$kill_at" --restart-at "$restart_at" \
		--history "$history" --json "$folder/json" "$@"
	read -r answered views lost < <(facts)
	echo "$answered operations in $seconds s, $views view changes, $lost operations lost"
	((answered < operations)) || break
	((seconds *= 2))
	if ((seconds > seconds_max)); then
		echo "linear.sh: too few operations: this machine is too slow, or too busy" >&2
		exit 1
	fi
done
if ((views == 0 || lost > 0)); then
	echo "linear.sh: a history without a view change, or with operations lost" >&2
	exit 1
fi
"$build/oskr-linear" "$history"
