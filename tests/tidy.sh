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

# Whether the file holds a program's main: mains may see DPDK. (perf/bench is one main
# in several files: it measures DPDK itself.)
is_main()
{
	grep -qE '^main\(|^int main\(|^[[:space:]]*UNIT_MAIN\(' "$1"
}

check_dpdk_boundary()
{
	local file
	for file in "${sources[@]}"; do
		case $file in lcore/* | perf/bench*) continue ;; esac
		if ! is_main "$file"; then
			grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]rte_' "$file" || true
		fi
	done
}

check_crypto_boundary()
{
	local file
	for file in "${sources[@]}"; do
		case $file in crypto/* | tests/unit_crypto* ) continue ;; esac
		grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](intel-ipsec-mb|ipsec-mb|secp256k1|openssl/)' \
			"$file" || true
	done
}

# Protocols see the engine, their own folder, and headers that cannot wait or allocate.
check_protocol_boundary()
{
	local file folder
	for file in "${sources[@]}"; do
		case $file in protocols/*/*) ;; *) continue ;; esac
		folder=${file%/*}
		grep -nHE '^[[:space:]]*#[[:space:]]*include' "$file" |
			grep -vE "include[[:space:]]*(\"(engine/[^\"]*|protocols/bft/[^\"]*|$folder/[^\"]*|[^/\"]*)\"|<(assert|inttypes|limits|stdalign|stdbool|stddef|stdint|string)\.h>)" || true
	done
}

check_format()
{
	((${#sources[@]} == 0)) ||
		clang-format --dry-run "${sources[@]}" 2>&1 |
		awk -F: '/clang-format-violations/ { count[$1]++ }
			END { for (file in count)
				print file ": " count[file] " places (tests/tidy.sh --fix formats them)" }' |
		sort
}

check_file_lines()
{
	local file count
	for file in "${sources[@]}" "${scripts[@]}" "${pythons[@]}"; do
		count=$(wc -l <"$file")
		((count <= file_lines_max)) || echo "$file: $count lines, $file_lines_max at most"
	done
}

# clang-format puts a function's braces, and nothing else, into the first column.
check_function_lines()
{
	local file
	for file in "${sources[@]}"; do
		awk -v max="$function_lines_max" '
			/^\{/ { begin = NR }
			/^\}/ && begin {
				if (NR - begin + 1 > max)
					printf "%s:%d: a function of %d lines, %d at most\n",
						FILENAME, begin, NR - begin + 1, max
				begin = 0
			}' "$file"
	done
}

check_columns()
{
	local file
	for file in "${sources[@]}" "${pythons[@]}"; do
		expand "$file" | awk -v max="$columns_max" -v file="$file" \
			'length($0) > max { printf "%s:%d: %d columns, %d at most\n", file, NR, length($0), max }'
	done
}

check_shell()
{
	shellcheck -- "${scripts[@]}"
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
	local file
	for file in "${sources[@]}" "${scripts[@]}" "${pythons[@]}"; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
			echo "$file: no SPDX-License-Identifier: Apache-2.0 in its first lines"
	done
}

# Words that announce unfinished work, and paths of one person's machine.
check_words()
{
	local file
	files "" | while read -r file; do
		case $file in LICENSE | tests/tidy.sh) continue ;; esac
		grep -nHIwE 'TODO|FIXME|XXX|HACK' "$file" || true
		grep -nHIiwE 'stub|stubs|stubbed|placeholder|placeholders|for now|simplified' "$file" || true
		grep -nHIE '(^|[^[:alnum:]_.~-])/(home|root|work)/' "$file" || true
	done
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

echo "tidy: $passed of $((passed + failed)) checks passed"
((failed == 0))
