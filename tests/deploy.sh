#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests of deploy/doctor.sh, against machines that are made of files, of keygen.sh, and of what
# else in deploy/ needs no built program: the systemd unit, the dissector, usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
passed=0
failed=0

# expect NAME COMMAND...: the command must succeed.
expect()
{
	local name=$1
	shift
	if "$@" >"$place/out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "deploy: FAILED: $name"
		sed 's/^/        /' "$place/out"
	fi
}

# put FILE TEXT: a file of the machine that is made up.
put()
{
	mkdir -p "$place/machine$(dirname "$1")"
	printf '%s\n' "$2" >"$place/machine$1"
}

# A machine with nothing to find fault with: an interface with two queues, a bound PCI port.
machine_make()
{
	local cpu
	rm -rf "$place/machine"
	cpu='flags : sse4_2 pclmulqdq aes avx2 avx512f vaes sha_ni constant_tsc nonstop_tsc'
	put /proc/cpuinfo "processor : 0
$cpu
processor : 1
$cpu"
	put /sys/devices/system/cpu/isolated 1
	put /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor performance
	put /sys/devices/system/clocksource/clocksource0/current_clocksource tsc
	put /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 512
	put /sys/kernel/mm/transparent_hugepage/enabled 'always [madvise] never'
	mkdir -p "$place/machine/sys/kernel/iommu_groups/0"
	mkdir -p "$place/machine/sys/class/net/eth1/queues/rx-0" \
		"$place/machine/sys/class/net/eth1/queues/rx-1" \
		"$place/machine/sys/class/net/eth1/device" \
		"$place/machine/sys/bus/pci/devices/0000:3b:00.0" \
		"$place/machine/sys/bus/pci/drivers/mlx5_core" \
		"$place/machine/sys/bus/pci/drivers/vfio-pci" \
		"$place/machine/sys/bus/pci/drivers/ixgbe"
	put /sys/class/net/eth1/operstate up
	put /sys/class/net/eth1/mtu 1500
	driver_set /sys/class/net/eth1/device mlx5_core
	driver_set /sys/bus/pci/devices/0000:3b:00.0 vfio-pci
}

driver_set()
{
	ln -sfn "$place/machine/sys/bus/pci/drivers/$2" "$place/machine$1/driver"
}

# doctor STATUS "N bad, M poor" TEXT [OPTION...]: what it must say of the machine.
doctor()
{
	local status=0 right=$1 counts=$2 text=$3
	shift 3
	DOCTOR_ROOT=$place/machine deploy/doctor.sh "$@" >"$place/doctor" || status=$?
	cat "$place/doctor"
	[[ $status == "$right" ]] || { echo "exit status $status" && return 1; }
	[[ $(tail -n 1 "$place/doctor") == "doctor: $counts" ]] || return 1
	grep -qF -- "$text" "$place/doctor" || { echo "no '$text'" && return 1; }
	# Whatever is not ok has its remedy.
	[[ $(grep -cE '^(poor|bad)' "$place/doctor") == $(grep -c 'remedy: .' "$place/doctor") ]]
}

# ill NAME STATUS COUNTS TEXT FILE CONTENT [OPTION...]: the machine with one file changed.
ill()
{
	local name=$1 status=$2 counts=$3 text=$4 file=$5 content=$6
	shift 6
	machine_make
	put "$file" "$content"
	expect "doctor: $name" doctor "$status" "$counts" "$text" "$@"
}

doctor_tests()
{
	local cpu=/proc/cpuinfo few='processor : 0
flags : sse4_2 pclmulqdq aes constant_tsc nonstop_tsc'
	machine_make
	expect "doctor: nothing wrong" doctor 0 "0 bad, 0 poor" "ok    cpu" --port eth1
	expect "doctor: a PCI port" doctor 0 "0 bad, 0 poor" "bound to vfio-pci" --port 0000:3b:00.0
	expect "doctor: no such PCI port" doctor 1 "1 bad, 0 poor" "no PCI device" --port 0000:3c:00.0
	expect "doctor: no such interface" doctor 1 "1 bad, 0 poor" "no interface eth9" --port eth9
	expect "doctor: MTU" doctor 1 "1 bad, 0 poor" "ip link set eth1 mtu 9000" --port eth1 --mtu 9000
	expect "doctor: cores" doctor 0 "0 bad, 1 poor" "3 are wanted" --cores 3
	expect "doctor: memory" doctor 0 "0 bad, 1 poor" "echo 1024 >" --memory 2048
	driver_set /sys/bus/pci/devices/0000:3b:00.0 ixgbe
	expect "doctor: the kernel's PCI port" doctor 1 "1 bad, 0 poor" \
		"dpdk-devbind.py -b vfio-pci 0000:3b:00.0" --port 0000:3b:00.0
	driver_set /sys/bus/pci/devices/0000:3b:00.0 mlx5_core
	expect "doctor: a shared PCI port" doctor 0 "0 bad, 0 poor" "shares" --port 0000:3b:00.0
	driver_set /sys/class/net/eth1/device ixgbe
	expect "doctor: the kernel's interface" doctor 0 "0 bad, 1 poor" "dpdk-devbind.py" --port eth1
	ill "CPU without AES" 1 "1 bad, 0 poor" "has no aes" $cpu "${few/ aes/}" --cores 1
	ill "CPU without AVX-512" 0 "0 bad, 1 poor" "has no avx2 avx512f" $cpu "$few" --cores 1
	ill "no constant TSC" 0 "0 bad, 2 poor" "invtsc" $cpu "${few/ nonstop_tsc/}" --cores 1
	ill "no CPU isolated" 0 "0 bad, 1 poor" "isolcpus" /sys/devices/system/cpu/isolated ""
	ill "governor" 0 "0 bad, 1 poor" "cpupower" \
		/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor powersave
	ill "clock" 0 "0 bad, 1 poor" "hpet" \
		/sys/devices/system/clocksource/clocksource0/current_clocksource hpet
	ill "hugepages" 0 "0 bad, 1 poor" "20 MiB are free" \
		/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 10
	ill "link" 1 "1 bad, 0 poor" "ip link set eth1 up" /sys/class/net/eth1/operstate down --port eth1
	machine_make
	rmdir "$place/machine/sys/kernel/iommu_groups/0"
	expect "doctor: no IOMMU" doctor 0 "0 bad, 1 poor" "intel_iommu=on"
	rmdir "$place/machine/sys/class/net/eth1/queues/rx-1"
	expect "doctor: one queue" doctor 0 "0 bad, 2 poor" "ethtool -L eth1" --port eth1
}

# Exit status 2, nothing on stdout, exactly one line on stderr.
refuses()
{
	local status=0
	"$@" >"$place/refused.out" 2>"$place/refused.err" || status=$?
	cat "$place/refused.out" "$place/refused.err"
	[[ $status == 2 && ! -s $place/refused.out && $(wc -l <"$place/refused.err") == 1 ]]
}

helps()
{
	[[ $("$@" -h 2>"$place/help.err" | wc -l) -ge 2 && ! -s $place/help.err ]]
}

# The unit is understood (it names a program that need not be installed here), and is hardened.
unit_is_sound()
{
	local unit=deploy/systemd/oskr-replica@.service
	command -v systemd-analyze >/dev/null || { echo "no systemd here" && return 0; }
	if systemd-analyze verify "$unit" 2>&1 | grep -v 'is not executable' | grep .; then
		return 1
	fi
	systemd-analyze security --offline=yes --threshold=30 "$unit"
}

# Keys that are there are never touched; --add makes those that are missing, and the public half of
# what openssl made alone.
keys_are_made()
{
	local keys=$place/keys
	mkdir "$keys"
	deploy/keygen.sh "$keys/q" 2 1 || return 1
	[[ $(stat -c %a "$keys/q-1.pem" "$keys/q-1.pub" | paste -sd ' ') == "600 644" ]] || return 1
	sha256sum "$keys"/* >"$place/sums"
	refuses deploy/keygen.sh "$keys/q" 3 || return 1
	refuses deploy/keygen.sh --add "$keys/q" || return 1
	rm "$keys/q-1.pem"
	deploy/keygen.sh --add "$keys/q" 3 2 | grep -qF 'of 5 pairs: 2' || return 1
	deploy/keygen.sh --add "$keys/q" 3 2 | grep -qF 'of 5 pairs: 0' || return 1
	[[ ! -e $keys/q-1.pem && -e $keys/q-2.pem && -e $keys/q-client-1.pub ]] || return 1
	grep -v 'q-1.pem' "$place/sums" | sha256sum --check --quiet || return 1
	openssl ecparam -genkey -noout -name secp256k1 |
		openssl pkcs8 -topk8 -nocrypt -out "$keys/own-0.pem"
	deploy/keygen.sh --add "$keys/own" 1 || return 1
	openssl pkey -in "$keys/own-0.pem" -pubout | cmp - "$keys/own-0.pub"
}

case ${1:-} in
"") ;;
-h | --help)
	echo "Usage: tests/deploy.sh"
	echo "Tests what is in deploy/ and needs no build; exit status 1 when something misbehaves."
	exit 0
	;;
*)
	echo "deploy: unknown option '$1' (-h lists the options)" >&2
	exit 2
	;;
esac

doctor_tests
expect "keys are made, and kept" keys_are_made
expect "the systemd unit" unit_is_sound
expect "the dissector is of these headers" deploy/wireshark/generate.py --check
for script in deploy/doctor.sh deploy/keygen.sh deploy/local.sh deploy/exporter; do
	expect "$script -h" helps "$script"
done
for script in deploy/doctor.sh deploy/keygen.sh deploy/local.sh; do
	expect "$script refuses an unknown option" refuses "$script" --no-such-option
done
expect "doctor refuses a bad number" refuses deploy/doctor.sh --cores x
expect "doctor refuses a bad port" refuses deploy/doctor.sh --port 'eth0;id'
echo "deploy: $passed of $((passed + failed)) tests passed"
((failed == 0))
