#!/bin/sh
# Simulates users, bad networks, failing disks, crashes and stops in order around the real gateway, in virtual time, and holds
# every device against the disk after each life of the server (crates/gateway/src/simulation).
#
#   scripts/sim.sh [SEEDS] [FIRST]      200 seeds from the clock's, unless told otherwise
#
# Exits with 0 if nothing was lost. A seed gives the same faults again: scripts/sim.sh 1 SEED.
set -eu
cd "$(dirname "$0")/.."
export SIM_SEEDS=${1:-200} SIM_SEED=${2:-$(date +%s)}
printf 'sim: %s seeds from %s\n' "$SIM_SEEDS" "$SIM_SEED"
./scripts/setup.sh serve
./scripts/page.sh
exec cargo test --locked --quiet --workspace --lib -- --exact --nocapture \
    simulation::whatever_fails_everybody_gets_everything_once_and_in_order
