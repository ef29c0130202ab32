#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the secp256k1 keys of N replicas, PREFIX-<i>.pem, PKCS#8, which only its
# owner may read, and PREFIX-<i>.pub, for everyone; likewise PREFIX-client-<k> of
# client nodes. Keys that exist are never touched.
set -euo pipefail

usage() {
	cat <<'END'
Usage: deploy/keygen.sh [--add] PREFIX N [CLIENTS]
Makes PREFIX-0.pem and PREFIX-0.pub to PREFIX-(N-1).pem and .pub, and with CLIENTS
PREFIX-client-0.pem and .pub to PREFIX-client-(CLIENTS-1).pem and .pub.
  PREFIX   path and start of the file names, as deploy/quad; the folder must exist
  N        how many, 1..64: one for each replica of the cluster file
  CLIENTS  one for each client node (oskr-client -i), 1..64; none when left out
The .pem files are private (mode 0600): give each node its own alone, and all
nodes every .pub. Nothing is overwritten: if one of the files exists, none is made.
  --add       leave pairs that exist as they are and make those that are missing, for a
              cluster that grows; to a .pem alone, as openssl wrote it, its .pub; a .pub
              alone is of a node that has its .pem
  -h, --help  print this and exit
Exit status: 0 all pairs are there; 1 openssl failed; 2 a bad argument, or files in the way.
END
}

fail() {
	echo "keygen.sh: $1; try --help" >&2
	exit 2
}

add=false
arguments=()
for argument in "$@"; do
	case $argument in
	-h | --help)
		usage
		exit 0
		;;
	--add) add=true ;;
	-*) fail "unknown option '$argument'" ;;
	*) arguments+=("$argument") ;;
	esac
done
set -- "${arguments[@]}"
if [ $# -ne 2 ] && [ $# -ne 3 ]; then
	fail "give PREFIX and N, $# arguments were given"
fi
prefix=$1
count=$2
clients=${3-0}
if ! [[ $count =~ ^[1-9][0-9]?$ ]] || [ "$count" -gt 64 ]; then
	fail "bad N '$count': give 1..64"
fi
if [ $# -eq 3 ] && { ! [[ $clients =~ ^[1-9][0-9]?$ ]] || [ "$clients" -gt 64 ]; }; then
	fail "bad CLIENTS '$clients': give 1..64"
fi
[ -n "$prefix" ] || fail "PREFIX is empty: give a path, as deploy/quad"
folder=$(dirname -- "$prefix-0.pem")
[ -d "$folder" ] || fail "folder '$folder' does not exist: make it first"
[ -w "$folder" ] || fail "folder '$folder' is not writable: choose another PREFIX"
command -v openssl >/dev/null || fail "openssl is missing: apt-get install openssl"
names=()
for ((i = 0; i < count; i++)); do
	names+=("$i")
done
for ((k = 0; k < clients; k++)); do
	names+=("client-$k")
done
there() {
	[ -e "$1" ] || [ -L "$1" ]
}

for name in "${names[@]}"; do
	for file in "$prefix-$name.pem" "$prefix-$name.pub"; do
		if ! $add && there "$file"; then
			fail "'$file' exists: remove it, choose another PREFIX, or give --add"
		fi
	done
done

# Both files appear whole or not at all: made aside, then renamed.
scratch=$(mktemp -d -- "$folder/.keygen.XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
umask 077
made=0
for name in "${names[@]}"; do
	! there "$prefix-$name.pub" || continue
	if ! there "$prefix-$name.pem"; then
		openssl ecparam -genkey -noout -name secp256k1 |
			openssl pkcs8 -topk8 -nocrypt -out "$scratch/pem"
		chmod 0600 "$scratch/pem"
		openssl pkey -in "$scratch/pem" -pubout -out "$scratch/pub"
		mv -n -- "$scratch/pem" "$prefix-$name.pem"
	else
		openssl pkey -in "$prefix-$name.pem" -pubout -out "$scratch/pub"
	fi
	chmod 0644 "$scratch/pub"
	mv -n -- "$scratch/pub" "$prefix-$name.pub"
	made=$((made + 1))
done
if $add; then
	echo "keygen.sh: made what was missing of ${#names[@]} pairs: $made"
	exit 0
fi
echo "keygen.sh: made $prefix-0.pem to $prefix-$((count - 1)).pem and the .pub of each"
((clients == 0)) ||
	echo "keygen.sh: made $prefix-client-0.pem to $prefix-client-$((clients - 1)).pem, too"
