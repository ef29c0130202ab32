#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Looks whether this machine is fit to run oskr, and says the remedy of what is not. Changes
# nothing. What it reads lies below $root, so that its tests can show it other machines.
set -euo pipefail

root=${DOCTOR_ROOT:-}
memory_mib=512
cores=2
mtu=1500
port=
bad=0
poor=0

usage()
{
	cat <<-END
	Usage: deploy/doctor.sh [--port NAME] [--memory MIB] [--cores N] [--mtu BYTES]

	Checks this machine for running oskr and prints a line each: ok, poor (works, but
	slower or less steady) or bad (does not work), with the remedy of each.

	  --port NAME    the network port too: an interface, as eth1, or a PCI address, as
	                 0000:3b:00.0
	  --memory MIB   of hugepages that shall be there (512)
	  --cores N      that shall be there (2)
	  --mtu BYTES    that the port shall carry (1500)
	  -h, --help     this text

	Exit status: 0 nothing is bad; 1 something is; 2 a bad option.
	END
}

refuse()
{
	echo "doctor: $* (-h lists the options)" >&2
	exit 2
}

ok()
{
	printf 'ok    %-12s %s\n' "$1" "$2"
}

# poor NAME WHAT REMEDY
poor()
{
	poor=$((poor + 1))
	printf 'poor  %-12s %s\n                   remedy: %s\n' "$1" "$2" "$3"
}

bad()
{
	bad=$((bad + 1))
	printf 'bad   %-12s %s\n                   remedy: %s\n' "$1" "$2" "$3"
}

# The file's content without its end; nothing where there is none.
content()
{
	cat "$root$1" 2>/dev/null || true
}

# Whether /proc/cpuinfo names the flag.
has_flag()
{
	content /proc/cpuinfo | grep -m 1 '^flags' | grep -qw -- "$1"
}

check_cpu()
{
	local flag missing=() faster=()
	for flag in sse4_2 pclmulqdq aes; do
		has_flag "$flag" || missing+=("$flag")
	done
	for flag in avx2 avx512f vaes sha_ni; do
		has_flag "$flag" || faster+=("$flag")
	done
	if ((${#missing[@]} > 0)); then
		bad cpu "has no ${missing[*]}" \
			"take another machine; in a virtual one, let it see the host's CPU (-cpu host)"
	elif ((${#faster[@]} > 0)); then
		poor cpu "has no ${faster[*]}: MACs and digests are slower" \
			"in a virtual machine, let it see the host's CPU (-cpu host); else none"
	else
		ok cpu "has AES, SHA, AVX2 and AVX-512"
	fi
	if ! has_flag constant_tsc || ! has_flag nonstop_tsc; then
		poor tsc "does not promise a constant counter: times may be wrong" \
			"in a virtual machine, let it see the host's invariant TSC (-cpu host,+invtsc)"
	fi
}

check_cores()
{
	local count
	count=$(content /proc/cpuinfo | grep -c '^processor' || true)
	if ((count < cores)); then
		poor cores "$count CPUs, $cores are wanted: lcores share them" "give the machine more"
	else
		ok cores "$count CPUs"
	fi
	local isolated
	isolated=$(content /sys/devices/system/cpu/isolated)
	if [[ -z $isolated ]]; then
		poor isolation "no CPU is isolated: others interrupt the poll loops" \
			"boot with isolcpus=LIST nohz_full=LIST rcu_nocbs=LIST, and run there (-l LIST)"
	else
		ok isolation "CPUs $isolated are isolated"
	fi
	local governor
	governor=$(content /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)
	case $governor in
	"" | performance) ok frequency "${governor:-left to the host}" ;;
	*) poor frequency "the governor is $governor" "cpupower frequency-set -g performance" ;;
	esac
}

check_clock()
{
	local source
	source=$(content /sys/devices/system/clocksource/clocksource0/current_clocksource)
	case $source in
	tsc | kvm-clock) ok clock "the kernel's source is $source" ;;
	*)
		poor clock "the kernel's source is ${source:-unknown}, not tsc: reading time is slow" \
			"echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource"
		;;
	esac
}

check_hugepages()
{
	local folder=/sys/kernel/mm/hugepages/hugepages-2048kB free mib
	free=$(content $folder/free_hugepages)
	mib=$((${free:-0} * 2))
	if ((mib >= memory_mib)); then
		ok hugepages "$mib MiB are free"
	else
		poor hugepages "$mib MiB are free, $memory_mib are wanted: else all is several times slower" \
			"echo $(((memory_mib + 1) / 2)) > $folder/nr_hugepages, as root; or deploy/setup.sh"
	fi
	local thp
	thp=$(content /sys/kernel/mm/transparent_hugepage/enabled)
	[[ $thp != *'[never]'* ]] ||
		poor thp "transparent hugepages are off: the replicated state uses small pages" \
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
}

# Devices whose kernel driver and DPDK's share them need no vfio.
is_bifurcated()
{
	[[ $1 == mlx4_core || $1 == mlx5_core || $1 == mana ]]
}

check_iommu()
{
	local groups
	groups=$(find "$root/sys/kernel/iommu_groups" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)
	if ((groups > 0)); then
		ok iommu "$groups groups: vfio-pci isolates devices"
	else
		poor iommu "none: vfio-pci would not isolate devices" \
			"switch it on in the firmware and boot with intel_iommu=on or amd_iommu=on iommu=pt"
	fi
}

# The driver of a device's folder in /sys, or nothing.
driver_of()
{
	local link=$root$1/driver
	[[ ! -L $link ]] || basename "$(readlink "$link")"
}

# The PCI address of a device's folder; of a virtio device, that of the one above it.
pci_of()
{
	readlink -f "$root$1" | grep -oE '[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]' | tail -n 1 ||
		echo "its PCI address"
}

check_interface()
{
	local name=$1 folder=/sys/class/net/$1 queues carried
	local driver
	driver=$(driver_of "$folder/device")
	ok port "$name is an interface of the kernel, driver ${driver:-virtual}"
	if [[ -n $driver ]] && ! is_bifurcated "$driver"; then
		poor driver "$driver is the kernel's alone: net_af_packet or net_af_xdp carry less" \
			"dpdk-devbind.py -b vfio-pci $(pci_of "$folder/device")"
	fi
	[[ $(content "$folder/operstate") != down ]] ||
		bad link "$name is down" "ip link set $name up, and look at the cable"
	carried=$(content "$folder/mtu")
	if ((${carried:-0} < mtu)); then
		bad mtu "$name carries $carried bytes, $mtu are wanted" "ip link set $name mtu $mtu"
	else
		ok mtu "$name carries $carried bytes"
	fi
	queues=$(find "$root$folder/queues" -maxdepth 1 -name 'rx-*' 2>/dev/null | wc -l)
	if ((queues < 2)); then
		poor queues "$name has $queues receive queue: a replica gets along with one" \
			"ethtool -L $name combined $cores, where the driver can"
	else
		ok queues "$name has $queues receive queues"
	fi
	check_rss "$name"
}

# What spreads UDP over queues: only the driver knows, by ethtool.
check_rss()
{
	local spread
	if [[ -n $root ]] || ! command -v ethtool >/dev/null; then
		ok rss "not looked at (ethtool -n $1 rx-flow-hash udp4 tells)"
		return
	fi
	spread=$(ethtool -n "$1" rx-flow-hash udp4 2>/dev/null || true)
	if [[ $spread == *'L4 bytes'* ]]; then
		ok rss "$1 spreads UDP by its ports"
	else
		poor rss "$1 does not spread UDP by its ports: packets are handed over in software" \
			"ethtool -N $1 rx-flow-hash udp4 sdfn, where the driver can"
	fi
}

check_pci()
{
	local folder=/sys/bus/pci/devices/$1 driver
	if [[ ! -d $root$folder ]]; then
		bad port "there is no PCI device $1" "dpdk-devbind.py --status-dev net lists them"
		return
	fi
	driver=$(driver_of "$folder")
	case $driver in
	vfio-pci | uio_pci_generic | igb_uio) ok port "$1 is bound to $driver" ;;
	"")
		bad port "$1 has no driver" "modprobe vfio-pci; dpdk-devbind.py -b vfio-pci $1"
		;;
	*)
		if is_bifurcated "$driver"; then
			ok port "$1 has $driver, which DPDK shares with the kernel"
		else
			bad port "$1 is bound to $driver, the kernel's" \
				"modprobe vfio-pci; dpdk-devbind.py -b vfio-pci $1"
		fi
		;;
	esac
}

check_port()
{
	if [[ -z $port ]]; then
		ok port "none named (--port): memif, af_packet and tap need none"
	elif [[ $port =~ ^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$ ]]; then
		check_pci "$port"
	elif [[ -d $root/sys/class/net/$port ]]; then
		check_interface "$port"
	else
		bad port "there is no interface $port" "ip link lists them"
	fi
}

# number NAME VALUE: a whole number above 0.
number()
{
	[[ ${2:-} =~ ^[1-9][0-9]{0,7}$ ]] || refuse "$1 takes a whole number above 0"
}

while (($# > 0)); do
	case $1 in
	--port)
		[[ ${2:-} =~ ^[0-9A-Za-z:._-]+$ ]] || refuse "--port takes an interface or a PCI address"
		port=$2
		shift
		;;
	--memory) number "$@" && memory_mib=$2 && shift ;;
	--cores) number "$@" && cores=$2 && shift ;;
	--mtu) number "$@" && mtu=$2 && shift ;;
	-h | --help)
		usage
		exit 0
		;;
	*) refuse "unknown option '$1'" ;;
	esac
	shift
done

check_cpu
check_cores
check_clock
check_hugepages
check_iommu
check_port
echo "doctor: $bad bad, $poor poor"
((bad == 0))
