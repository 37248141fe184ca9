#!/usr/bin/env bash
# Measures: `npm run bench` everything, `npm run bench -- QUESTION...` some of it,
# `--quick` a short pass. Installs the peers that are not there.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

need_root "npm run bench"
bash scripts/setup.sh

# package|command that proves it is there
PEERS=('gcc|gcc' 'nftables|nft' 'ipset|ipset' 'iptables|iptables' 'xdp-tools|xdp-filter')
missing=()
for entry in "${PEERS[@]}"; do
	command -v "${entry#*|}" >/dev/null || missing+=("${entry%%|*}")
done
if [ "${#missing[@]}" -gt 0 ]; then
	echo "bench: installing what cgfw is compared with: ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt=(apt-get --yes --quiet -o DPkg::Lock::Timeout=120)
	"${apt[@]}" install --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
		{ "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } >&2 ||
		echo "bench: ${missing[*]} could not be installed: their rows will be missing" >&2
fi

make --silent bench >&2 || fail "the bench could not be built: see the messages above"
exec node dist/bench/main.js "$@"
