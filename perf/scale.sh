#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What lcores and instances bring and cost, and a model of more; perf/scale.py does the work, -h
# explains.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null || {
	echo "scale: python3 is missing; run as root: $here/../deploy/setup.sh" >&2
	exit 2
}
exec python3 -B "$here/scale.py" "$@"
