#!/bin/sh
# Kills the real server with SIGKILL again and again while clients ask and write down what they see, and holds each of them
# against what the next start has: accepted messages without an end, gaps, repeats, unpaired tools, events of others.
#
#   scripts/crash.sh [CRASHES] [SEED]      100 crashes and a seed of the clock's, unless told otherwise
#
# Exits with 0 if nothing was lost. A seed gives the same numbers of messages after which the server is killed; where each
# client stands then is the machine's to say.
set -eu
cd "$(dirname "$0")/.."
export CRASH_ROUNDS=${1:-100} CRASH_SEED=${2:-$(date +%s)}
printf 'crash: %s crashes, seed %s\n' "$CRASH_ROUNDS" "$CRASH_SEED"
./scripts/setup.sh serve
./scripts/page.sh
# The record by itself: every byte at which a write can be torn, and two hundred lives beside the record in memory, and
# what is left of deleted threads once journals have gone.
RECORD_CUTS=1000000 RECORD_CASES=200 RECORD_OTHERS=1600 cargo test --locked --quiet --package portcullis-log-fjall --test it -- \
    agreement:: crash:: deletion::
exec cargo test --locked --quiet --workspace --test it -- --exact --nocapture \
    durable::whatever_was_accepted_ends_through_kill_9 durable::a_full_disk_is_told_and_takes_back_nothing \
    disk::a_disk_that_becomes_read_only_is_told_and_takes_back_nothing disk::a_sync_that_fails_is_told_and_takes_back_nothing
