#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Counts instructions an operation, and compares; perf/regress.py does the work, -h explains.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in python3 valgrind; do
	command -v "$tool" >/dev/null || {
		echo "regress: $tool is missing; run as root: $here/../deploy/setup.sh" >&2
		exit 2
	}
done
exec python3 -B "$here/regress.py" "$@"
