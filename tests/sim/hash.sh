#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Same seed, same run, in any build: runs the same seeds with each program that
# is named and compares the hashes of all that happened.
set -euo pipefail

if (($# < 2)) || [[ $1 == -h || $1 == --help ]]; then
	echo "Usage: hash.sh OSKR_SIM OSKR_SIM...    compares builds of the simulator" >&2
	exit 2
fi

hashes()
{
	local mode
	for mode in $("$1" --modes); do
		"$1" -m "$mode" --seeds 40 --ops 150 --faults all | grep '^seed ' | cut -d ' ' -f 1-10
		"$1" -m "$mode" --seeds 10 --ops 150 --faults crash -t 8 --plain |
			grep '^seed ' | cut -d ' ' -f 1-10
	done
}

expected=$(hashes "$1")
for program in "${@:2}"; do
	if ! diff <(echo "$expected") <(hashes "$program"); then
		echo "hash.sh: $1 and $program differ" >&2
		exit 1
	fi
done
echo "$(wc -l <<<"$expected") runs, $# builds: the same hashes"
