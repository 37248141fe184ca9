#!/usr/bin/env bash
# Sets up, then runs the agent on the shipped policy.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_root "npm start"
owner=$(stat -c %u config/policy.yaml)
if [ "$owner" != 0 ]; then
  fail "config/policy.yaml belongs to user $owner, and cgfw runs as root: run: chown root config/policy.yaml"
fi
bash scripts/setup.sh
cat <<'TEXT'

The agent runs here until Ctrl-C; what it enforces stays (npx cgfw down removes it).
Try it from a second terminal in this folder:

  npx cgfw exec --cgroup cgfw-demo -- bash -c 'echo > /dev/tcp/198.51.100.7/80'

TEXT
exec node bin/cgfw.js run config/policy.yaml
