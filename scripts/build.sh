#!/usr/bin/env bash
# Builds bpf/, native/ and src/: only what is older than its sources.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for tool in clang g++ make pkg-config node; do
	command -v "$tool" >/dev/null || fail "$tool is not installed: npm run setup installs what is missing"
done
[ -f /usr/include/bpf/bpf_helpers.h ] ||
	fail "libbpf is not installed: apt-get install --no-install-recommends libbpf-dev"
[ -d node_modules/typescript ] || fail "node modules are not installed: npm run setup installs them"

# What was built from a source that is gone must neither run nor be found.
prune() {
	local built=$1 source=$2
	shift 2
	if [ ! -e "$source" ]; then
		rm -f "$built" "$@"
		rm -f dist/.built
	fi
}

while IFS= read -r -d '' file; do
	source=${file#dist/}
	prune "$file" "${source%.js}.ts" "$file.map"
done < <(find dist/src dist/test dist/bench -name '*.js' -print0 2>/dev/null)
for file in build/bpf/*.bpf.o; do
	source=${file##*/}
	prune "$file" "bpf/${source%.o}.c" "$file.d"
done
for file in build/test-bpf/*.bpf.o; do
	source=${file##*/}
	prune "$file" "test/bpf/${source%.o}.c" "$file.d"
done

make --silent --jobs "$(nproc)" all >&2 || fail "the build failed: see the messages above"
