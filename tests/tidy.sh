#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The rules that a machine can check: the include boundary, formatting, sizes,
# words, scripts. A failed check names file and line. Takes seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

file_lines_max=900
function_lines_max=70
columns_max=100

passed=0
failed=0

usage()
{
	cat <<-END
	Usage: tests/tidy.sh [--fix]

	Checks the source against the rules in CONTRIBUTING.md and says what breaks them.

	  --fix        let clang-format rewrite the C files first
	  -h, --help   this text

	Exit status: 0 all checks hold; 1 one does not; 2 a bad option or a missing tool.
	END
}

# Files of the project with one of these suffixes: what git would commit, or,
# outside a clone, all but build folders and results.
files()
{
	local suffix patterns=()
	for suffix in "$@"; do
		patterns+=("*$suffix")
	done
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "${patterns[@]}"
	else
		for suffix in "${patterns[@]}"; do
			find . \( -path './build*' -o -path './report' -o -path './.git' \) -prune \
				-o -type f -name "$suffix" -printf '%P\n'
		done
	fi | sort -u | while read -r file; do
		[[ ! -f $file ]] || printf '%s\n' "$file"
	done
}

# Runs a check; whatever it prints is a violation.
check()
{
	local name=$1 output
	shift
	output=$("$@" 2>&1) || output=${output:-"$1 failed"}
	if [[ -z $output ]]; then
		passed=$((passed + 1))
		printf 'tidy: ok      %s\n' "$name"
	else
		failed=$((failed + 1))
		printf 'tidy: FAILED  %s\n%s\n' "$name" "        ${output//$'\n'/$'\n        '}"
	fi
}

# Prints the arguments but those that match the pattern, a line each.
without()
{
	local pattern=$1
	shift
	(($# == 0)) || printf '%s\n' "$@" | grep -vE "$pattern" || true
}

# Greps the files that standard input names, if any.
grep_files()
{
	xargs -r -d '\n' grep -H "$@" || true
}

# Mains may see DPDK. (perf/bench is one main in several files: it measures DPDK itself.)
check_dpdk_boundary()
{
	without '^(lcore/|perf/bench)' "${sources[@]}" |
		grep_files -LE '^main\(|^int main\(|^[[:space:]]*UNIT_MAIN\(' |
		grep_files -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]rte_'
}

check_crypto_boundary()
{
	without '^(crypto/|tests/unit_crypto)' "${sources[@]}" |
		grep_files -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](intel-ipsec-mb|ipsec-mb|secp256k1|openssl/)'
}

# Protocols see the engine, their own folder, and headers that cannot wait or allocate.
check_protocol_boundary()
{
	local folder
	for folder in protocols/*/; do
		folder=${folder%/}
		printf '%s\n' "${sources[@]}" | grep "^$folder/" |
			grep_files -nE '^[[:space:]]*#[[:space:]]*include' |
			grep -vE "include[[:space:]]*(\"(engine/[^\"]*|protocols/bft/[^\"]*|$folder/[^\"]*|[^/\"]*)\"|<(assert|inttypes|limits|stdalign|stdbool|stddef|stdint|string)\.h>)" || true
	done
}

check_format()
{
	((${#sources[@]} == 0)) ||
		printf '%s\0' "${sources[@]}" |
		xargs -0 -n 24 -P "$(nproc)" clang-format --dry-run 2>&1 |
		awk -F: '/clang-format-violations/ { count[$1]++ }
			END { for (file in count)
				print file ": " count[file] " places (tests/tidy.sh --fix formats them)" }' |
		sort
}

check_file_lines()
{
	wc -l -- "${sources[@]}" "${scripts[@]}" "${pythons[@]}" |
		awk -v max="$file_lines_max" '$1 > max && $2 != "total" {
			print $2 ": " $1 " lines, " max " at most" }'
}

# clang-format puts a function's braces, and nothing else, into the first column.
check_function_lines()
{
	((${#sources[@]} == 0)) || awk -v max="$function_lines_max" '
		FNR == 1 { begin = 0 }
		/^\{/ { begin = FNR }
		/^\}/ && begin {
			if (FNR - begin + 1 > max)
				printf "%s:%d: a function of %d lines, %d at most\n",
					FILENAME, begin, FNR - begin + 1, max
			begin = 0
		}' "${sources[@]}"
}

# Tabs go to the next multiple of eight.
check_columns()
{
	awk -v max="$columns_max" '
		{
			width = length($0)
			if (index($0, "\t")) {
				parts = split($0, part, "\t")
				width = 0
				for (i = 1; i < parts; i++)
					width = int((width + length(part[i])) / 8 + 1) * 8
				width += length(part[parts])
			}
		}
		width > max { printf "%s:%d: %d columns, %d at most\n", FILENAME, FNR, width, max }
	' "${sources[@]}" "${pythons[@]}"
}

check_shell()
{
	printf '%s\0' "${scripts[@]}" | xargs -0 -n 8 -P "$(nproc)" shellcheck --
}

check_python()
{
	python3 -B -c '
import ast, sys
for file in sys.argv[1:]:
    ast.parse(open(file).read(), file)' "${pythons[@]}"
}

check_licence()
{
	awk -v owed='SPDX-License-Identifier: Apache-2.0' '
		FNR == 1 && NR > 1 && !found { print name ": no " owed " in its first lines" }
		FNR == 1 { found = 0; name = FILENAME }
		FNR <= 3 && index($0, owed) { found = 1 }
		END { if (!found) print name ": no " owed " in its first lines" }
	' "${sources[@]}" "${scripts[@]}" "${pythons[@]}"
}

# Words that announce unfinished work, and paths of one person's machine.
check_words()
{
	mapfile -t named < <(files "")
	local looked=(without '^(LICENSE|tests/tidy\.sh)$' "${named[@]}")
	"${looked[@]}" | grep_files -nIwE 'TODO|FIXME|XXX|HACK'
	"${looked[@]}" | grep_files -nIiwE \
		'stub|stubs|stubbed|placeholder|placeholders|for now|simplified'
	"${looked[@]}" | grep_files -nIE '(^|[^[:alnum:]_.~-])/(home|root|work)/'
}

# Whoever has a clone would have the private keys of whoever used these. Those of tests are for all
# to read.
check_keys()
{
	files "" | grep -vE '^tests/(vectors/|fuzz/corpus/|unit_keys\.c$|tidy\.sh$)' |
		grep_files -lIE -e '-----BEGIN [A-Z ]*PRIVATE KEY-----'
}

fix=false
while (($# > 0)); do
	case $1 in
	--fix) fix=true ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "tidy: unknown option '$1' (-h lists the options)" >&2
		exit 2
		;;
	esac
	shift
done

for tool in clang-format shellcheck python3; do
	command -v "$tool" >/dev/null || {
		echo "tidy: $tool is missing; run as root: $PWD/deploy/setup.sh" >&2
		exit 2
	}
done

# tests/vectors/ holds published tables: neither their shape nor their length is ours.
mapfile -t sources < <(files .c .h | grep -v '^tests/vectors/')
mapfile -t scripts < <(files .sh .ci/run)
mapfile -t pythons < <(files .py)
if $fix && ((${#sources[@]} > 0)); then
	clang-format -i "${sources[@]}"
fi

check "only lcore/ and mains include DPDK" check_dpdk_boundary
check "only crypto/ includes crypto libraries" check_crypto_boundary
check "protocols include the engine alone" check_protocol_boundary
check "clang-format" check_format
check "no file over $file_lines_max lines" check_file_lines
check "no function over $function_lines_max lines" check_function_lines
check "no line over $columns_max columns" check_columns
check "shellcheck" check_shell
check "Python parses" check_python
check "licence lines" check_licence
check "words" check_words
check "no private keys" check_keys

echo "tidy: $passed of $((passed + failed)) checks passed"
((failed == 0))
