# Sourced by the other scripts: the root of the checkout, and how to fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Root's PATH may lack the sbin directories, where bpftool and ip live.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# One sentence: what is missing and what to do.
fail() {
	echo "cgfw: $*" >&2
	exit 1
}

is_root() {
	[ "$(id -u)" -eq 0 ]
}

need_root() {
	is_root || fail "$1 needs root to load programs into the kernel: run it as root, for example with sudo"
}
