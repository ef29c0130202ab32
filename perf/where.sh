#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Says where an operation's time goes; perf/where.py does the work, -h explains.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in python3 meson ninja; do
	command -v "$tool" >/dev/null || {
		echo "where: $tool is missing; run as root: $here/../deploy/setup.sh" >&2
		exit 2
	}
done
exec python3 -B "$here/where.py" "$@"
