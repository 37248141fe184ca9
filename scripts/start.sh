#!/usr/bin/env bash
# Sets up, then runs the agent on the shipped policy.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_root "npm start"
bash scripts/setup.sh
exec node dist/src/cli/bin.js run config/policy.yaml
