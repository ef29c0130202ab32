#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the secp256k1 keys of N nodes: PREFIX-<i>.pem, PKCS#8, which only its
# owner may read, and PREFIX-<i>.pub, for everyone. Keys that exist stay.
set -euo pipefail

usage() {
	cat <<'END'
Usage: deploy/keygen.sh PREFIX N
Makes PREFIX-0.pem and PREFIX-0.pub to PREFIX-(N-1).pem and .pub.
  PREFIX  path and start of the file names, as deploy/quad; the folder must exist
  N       how many, 1..64: one for each replica of the cluster file
The .pem files are private (mode 0600): give each node its own alone, and all
nodes every .pub. Nothing is overwritten: if one of the files exists, none is made.
  -h, --help  print this and exit
END
}

fail() {
	echo "keygen.sh: $1; try --help" >&2
	exit 2
}

for argument in "$@"; do
	case $argument in
	-h | --help)
		usage
		exit 0
		;;
	-*) fail "unknown option '$argument'" ;;
	esac
done
[ $# -eq 2 ] || fail "give PREFIX and N, $# arguments were given"
prefix=$1
count=$2
if ! [[ $count =~ ^[1-9][0-9]?$ ]] || [ "$count" -gt 64 ]; then
	fail "bad N '$count': give 1..64"
fi
[ -n "$prefix" ] || fail "PREFIX is empty: give a path, as deploy/quad"
folder=$(dirname -- "$prefix-0.pem")
[ -d "$folder" ] || fail "folder '$folder' does not exist: make it first"
[ -w "$folder" ] || fail "folder '$folder' is not writable: choose another PREFIX"
command -v openssl >/dev/null || fail "openssl is missing: apt-get install openssl"
for ((i = 0; i < count; i++)); do
	for file in "$prefix-$i.pem" "$prefix-$i.pub"; do
		if [ -e "$file" ] || [ -L "$file" ]; then
			fail "'$file' exists: remove it or choose another PREFIX"
		fi
	done
done

# Both files appear whole or not at all: made aside, then renamed.
scratch=$(mktemp -d -- "$folder/.keygen.XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
umask 077
for ((i = 0; i < count; i++)); do
	openssl ecparam -genkey -noout -name secp256k1 |
		openssl pkcs8 -topk8 -nocrypt -out "$scratch/pem"
	openssl pkey -in "$scratch/pem" -pubout -out "$scratch/pub"
	chmod 0600 "$scratch/pem"
	chmod 0644 "$scratch/pub"
	mv -n -- "$scratch/pem" "$prefix-$i.pem"
	mv -n -- "$scratch/pub" "$prefix-$i.pub"
done
echo "keygen.sh: made $prefix-0.pem to $prefix-$((count - 1)).pem and the .pub of each"
