#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rehearses a cluster of processes on this machine; deploy/local.py does the work. See -h.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
command -v python3 >/dev/null || {
	echo "local: python3 is missing; run as root: $here/setup.sh" >&2
	exit 2
}
exec python3 -B "$here/local.py" "$@"
