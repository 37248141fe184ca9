#!/usr/bin/env bash
# Sets up, then runs all tests, or the built test files given as arguments.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_root "npm test"
bash scripts/setup.sh

files=("$@")
if [ "${#files[@]}" -eq 0 ]; then
	mapfile -t files < <(find dist/test -name '*.test.js' | LC_ALL=C sort)
fi
[ "${#files[@]}" -gt 0 ] || fail "there are no tests in dist/test: run npm run build"

record=build/test.tap
rm -f "$record"
code=0
node_modules/.bin/tap --output-file="$record" "${files[@]}" || code=$?

# tap's last words are `# { total: 4, pass: 2, fail: 1, skip: 1 }`; what is 0 is left out.
summary=$(grep '^# { total: ' "$record" 2>/dev/null | tail -n 1 || true)
number() {
	local value=${summary##*"$1: "}
	[ "$value" = "$summary" ] && value=0
	echo "${value%%[!0-9]*}"
}
failed=$(number fail)
# A run that broke before it could count is a failure too.
if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
	failed=1
fi
if [ "$(number skip)" -gt 0 ]; then
	echo "$(number skip) skipped"
fi
echo "$(number pass) passed, $failed failed"
exit "$code"
