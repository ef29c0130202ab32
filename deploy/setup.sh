#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a bare Debian 12 machine ready to build, test and run oskr: packages by
# apt, then 2 MiB hugepages where root may take them. It may be run any number
# of times, and does nothing where nothing is missing.
set -euo pipefail

# What the build needs: compiler, tools, libraries.
packages_build=(gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libipsec-mb-dev
	libsecp256k1-dev libcunit1-dev libjansson-dev libssl-dev libnuma-dev)
# What runs, measures and shows: device binding (dpdk), testpmd (dpdk-dev), keys
# (openssl), the second compiler with its sanitizers, plots, checks of style; rehearsals
# (namespaces, ansible-core), ping, captures (tshark), traces (babeltrace2); counts
# of instructions (valgrind).
packages_use=(dpdk dpdk-dev openssl python3 gnuplot-nox clang libclang-rt-14-dev clang-format shellcheck
	git valgrind iproute2 util-linux iputils-ping ansible-core tshark babeltrace2)
packages=("${packages_build[@]}" "${packages_use[@]}")

# 1 GiB in pages of 2 MiB: the memory pools of a cluster, with room to spare.
hugepage_count_wanted=512
hugepage_file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
[[ -e $hugepage_file ]] || hugepage_file=/proc/sys/vm/nr_hugepages

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
check_only=false
take_hugepages=true

usage()
{
	cat <<-END
	Usage: deploy/setup.sh [--check] [--no-hugepages]

	Installs what oskr needs on Debian 12 and, as root, takes $hugepage_count_wanted hugepages of
	2 MiB (until the next boot; a larger number already there is left alone).
	Does nothing where all is there.

	  --check          change nothing: say what is missing
	  --no-hugepages   leave the kernel's hugepages alone
	  -h, --help       this text

	Exit status: 0 all packages are there; 1 apt failed; 2 packages are missing
	and may not be installed (--check, or not root), or a bad option.
	END
}

say()
{
	printf 'setup: %s\n' "$*"
}

fail()
{
	local status=$1
	shift
	printf 'setup: %s\n' "$*" >&2
	exit "$status"
}

packages_missing()
{
	local installed
	# shellcheck disable=SC2016 # ${...} is dpkg-query's own format.
	installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" \
		2>/dev/null | sed -n 's/^.i  *//p' || true)
	local package
	for package in "${packages[@]}"; do
		grep -qxF -- "$package" <<<"$installed" || printf '%s\n' "$package"
	done
}

packages_install()
{
	say "installing: $*"
	export DEBIAN_FRONTEND=noninteractive
	local apt=(apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
	"${apt[@]}" update </dev/null ||
		fail 1 "apt-get update failed: check the network and /etc/apt/sources.list"
	"${apt[@]}" install -y --no-install-recommends "$@" </dev/null ||
		fail 1 "apt-get install failed: its message is above"
}

packages_provide()
{
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		fail 2 "this machine has no apt: oskr is built and tested on Debian 12"
	fi
	local missing
	mapfile -t missing < <(packages_missing)
	if ((${#missing[@]} == 0)); then
		say "all ${#packages[@]} packages are there"
		return
	fi
	if $check_only || ((EUID != 0)); then
		fail 2 "packages are missing (${missing[*]}); run as root: $here/setup.sh"
	fi
	packages_install "${missing[@]}"
	mapfile -t missing < <(packages_missing)
	((${#missing[@]} == 0)) || fail 1 "still missing after apt-get: ${missing[*]}"
	say "all ${#packages[@]} packages are there"
}

hugepages_describe()
{
	local count=$1 why=$2
	if ((count > 0)); then
		say "hugepages: $count of 2 MiB$why"
	else
		say "hugepages: none$why: runs use 4 KiB pages (--no-huge) and are several times slower"
	fi
}

# Never more than half of the free memory: a small machine shall stay usable.
hugepages_affordable()
{
	local available_kib
	available_kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	local count=$((${available_kib:-0} / 2 / 2048))
	echo $((count < hugepage_count_wanted ? count : hugepage_count_wanted))
}

hugepages_provide()
{
	local count wanted
	count=$(cat "$hugepage_file" 2>/dev/null || echo 0)
	if ((count >= hugepage_count_wanted)); then
		hugepages_describe "$count" ", already there"
	elif ! $take_hugepages || $check_only; then
		hugepages_describe "$count" ", left as they are"
	elif ((EUID != 0)); then
		hugepages_describe "$count" " (only root may take more: $here/setup.sh)"
	else
		wanted=$((count + $(hugepages_affordable)))
		wanted=$((wanted < hugepage_count_wanted ? wanted : hugepage_count_wanted))
		if ! { echo "$wanted" >"$hugepage_file"; } 2>/dev/null; then
			hugepages_describe "$count" " ($hugepage_file is read-only here, as in a container)"
			return
		fi
		count=$(cat "$hugepage_file")
		if ((count < hugepage_count_wanted)); then
			hugepages_describe "$count" " (the kernel had no more free memory in one piece)"
		else
			hugepages_describe "$count" ", taken until the next boot"
		fi
	fi
}

while (($# > 0)); do
	case $1 in
	--check) check_only=true ;;
	--no-hugepages) take_hugepages=false ;;
	-h | --help)
		usage
		exit 0
		;;
	*) fail 2 "unknown option '$1' (-h lists the options)" ;;
	esac
	shift
done

packages_provide
hugepages_provide
