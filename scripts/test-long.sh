#!/usr/bin/env bash
# The long suite: real programs in accelerated cgroups, and ten thousand connections.
# Installs the Debian packages that it needs. Some files only: give their built names.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_root "npm run test:long"
bash scripts/setup.sh

# package|file that proves it is there
PROGRAMS=(
	'iperf3|/usr/bin/iperf3'
	'nginx-light|/usr/sbin/nginx'
	'curl|/usr/bin/curl'
	'redis-server|/usr/bin/redis-server'
	'redis-tools|/usr/bin/redis-benchmark'
	'postgresql|/usr/lib/postgresql'
)
missing=()
for entry in "${PROGRAMS[@]}"; do
	[ -e "${entry#*|}" ] || missing+=("${entry%%|*}")
done
if [ "${#missing[@]}" -gt 0 ]; then
	echo "test: installing ${missing[*]}" >&2
	# At this run level the packages do not start the services that they bring.
	export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
	apt=(apt-get --yes --quiet -o DPkg::Lock::Timeout=120)
	"${apt[@]}" install --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
		{ "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } >&2 ||
		fail "${missing[*]} could not be installed"
fi

files=("$@")
if [ "${#files[@]}" -eq 0 ]; then
	mapfile -t files < <(find dist/test/long -name '*.long.js' | LC_ALL=C sort)
fi
exec node_modules/.bin/tap --jobs=1 --timeout=900 "${files[@]}"
