#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a link between processes costs, beside dpdk-testpmd on the same link; perf/links.py does the
# work, -h explains.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null || {
	echo "links: python3 is missing; run as root: $here/../deploy/setup.sh" >&2
	exit 2
}
exec python3 -B "$here/links.py" "$@"
