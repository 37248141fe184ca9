#!/usr/bin/env bash
# Makes this checkout ready to run: Debian packages, node modules, the build.
# Quick when nothing is missing.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

NODE_FLOOR=20.19

# package|a file or a command that proves it is there
NEEDED=(
	'clang|clang'
	'g++|g++'
	'make|make'
	'pkg-config|pkg-config'
	'python3|python3'
	'libbpf-dev|/usr/include/bpf/libbpf.h'
	'libelf-dev|/usr/include/libelf.h'
	'zlib1g-dev|/usr/include/zlib.h'
	'bpftool|bpftool'
	'iproute2|ip'
)

is_present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing_packages() {
	local entry
	for entry in "${NEEDED[@]}"; do
		is_present "${entry#*|}" || echo "${entry%%|*}"
	done
}

check_machine() {
	[ "$(uname -s)" = Linux ] || fail "this is $(uname -s): cgfw runs on Linux only"
	case $(uname -m) in
	x86_64 | aarch64) ;;
	*) fail "this is a $(uname -m) machine: cgfw runs on x86_64 and aarch64" ;;
	esac
}

check_node() {
	command -v node >/dev/null || fail "Node.js is not installed: install Node.js $NODE_FLOOR or newer with npm"
	command -v npm >/dev/null || fail "npm is not installed: install the npm that belongs to your Node.js"
	local version
	version=$(node --version)
	version=${version#v}
	[ "$(printf '%s\n' "$NODE_FLOOR" "$version" | sort --version-sort | head -n 1)" = "$NODE_FLOOR" ] ||
		fail "Node.js $version is too old: install Node.js $NODE_FLOOR or newer"
}

check_kernel() {
	grep -q '^[^ ]* [^ ]* cgroup2 ' /proc/mounts ||
		fail "no cgroup2 file system is mounted: mount one, for example with mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"
	[ -e /proc/sys/kernel/unprivileged_bpf_disabled ] ||
		fail "this kernel has no BPF: use one that was built with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF, as Debian's are"
	if is_root && ! grep -q '^[^ ]* /sys/fs/bpf bpf ' /proc/mounts; then
		mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf /sys/fs/bpf 2>/dev/null ||
			fail "a bpf file system cannot be mounted on /sys/fs/bpf: run this outside of a container, or give it CAP_SYS_ADMIN"
	fi
}

has_fresh_lists() {
	[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -7 -print -quit 2>/dev/null)" ]
}

install_packages() {
	local line="apt-get install --no-install-recommends $*"
	command -v apt-get >/dev/null || fail "not installed: $* (names of Debian packages): install what they are called here"
	is_root || fail "not installed: $*: run as root: $line"
	echo "cgfw: installing $*" >&2
	export DEBIAN_FRONTEND=noninteractive
	local apt=(apt-get --yes --quiet -o DPkg::Lock::Timeout=120)
	has_fresh_lists || "${apt[@]}" update >&2 || true
	"${apt[@]}" install --no-install-recommends "$@" >&2 && return
	# Lists that look fresh may still name versions that the mirror has dropped.
	"${apt[@]}" update >&2 || true
	"${apt[@]}" install --no-install-recommends "$@" >&2 || fail "packages could not be installed: try yourself: $line"
}

install_modules() {
	local stamp=node_modules/.package-lock.json
	if [ -f "$stamp" ] && [ ! package-lock.json -nt "$stamp" ]; then
		return
	fi
	echo "cgfw: installing node modules" >&2
	npm ci --include=dev --no-audit --no-fund >&2 ||
		fail "node modules could not be installed: check the network and run npm ci"
	touch "$stamp"
}

check_machine
check_node
check_kernel
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
	install_packages "${missing[@]}"
	mapfile -t missing < <(missing_packages)
	[ "${#missing[@]}" -eq 0 ] || fail "still not usable after their installation: ${missing[*]}: reinstall them"
fi
install_modules
bash scripts/build.sh
