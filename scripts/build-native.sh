#!/usr/bin/env bash
# Builds native/build/Release/cgfw.node with the node-gyp that npm brings.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

pkg-config --exists libbpf 2>/dev/null ||
	fail "libbpf is not installed: apt-get install --no-install-recommends libbpf-dev pkg-config"

find_node_gyp() {
	local npm candidate
	npm=$(readlink -f "$(command -v npm)") || return 1
	for candidate in "${npm_config_node_gyp:-}" \
		"$(dirname "$npm")/../node_modules/node-gyp/bin/node-gyp.js" \
		"$(npm root --global 2>/dev/null)/npm/node_modules/node-gyp/bin/node-gyp.js"; do
		if [ -f "$candidate" ]; then
			echo "$candidate"
			return
		fi
	done
	return 1
}

node_gyp=$(find_node_gyp) || fail "node-gyp is not found: install npm, which brings it, beside Node.js"

# The headers of this very Node.js when it brings them: nothing is downloaded.
prefix=$(node -p 'path.dirname(path.dirname(process.execPath))')
options=()
if [ -f "$prefix/include/node/node_api.h" ]; then
	options+=("--nodedir=$prefix")
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! (cd native && node "$node_gyp" "${options[@]}" configure build) >"$log" 2>&1; then
	grep -v '^gyp info' "$log" >&2
	fail "the native part could not be built: see the messages above"
fi
