#!/usr/bin/env bash
# Runs the Autobahn|Testsuite (RFC 6455) against /ws/echo of a server that it starts, with a token in the handshake as
# everywhere. Prints a summary, and writes it to benches/autobahn.json unless only some cases ran.
#
#   scripts/autobahn.sh [CASES]    for instance "1.*,7.*"; default: all but 12.* and 13.* (permessage-deflate)
#
# The suite needs Python 2.7 (PYTHON27, default: python2.7, then pyenv's) and comes from PyPI; AUTOBAHN_CACHE keeps it.
# PORTCULLIS_BIN names the server; it is built otherwise. Exit: 0 all passed, 1 not all, 3 no Python 2.7.
set -euo pipefail
cd "$(dirname "$0")/.."

python=
for candidate in "${PYTHON27:-}" python2.7 "$HOME"/.pyenv/versions/2.7*/bin/python2.7; do
    if [ -n "$candidate" ] && "$candidate" -c 'import zlib, ssl' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || { echo 'autobahn: no Python 2.7 (set PYTHON27); the suite runs on nothing newer' >&2; exit 3; }
if [ -z "${PORTCULLIS_BIN:-}" ]; then
    cargo build --release --locked --quiet -p portcullis-cli
    PORTCULLIS_BIN=${CARGO_TARGET_DIR:-target}/release/portcullis
fi

work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" || true; fi; rm -rf "$work"' EXIT
suite=${AUTOBAHN_CACHE:-$work/suite}
if ! [ -e "$suite/.complete" ]; then
    "$python" -m pip install --quiet --target "$suite" autobahntestsuite==25.10.1
    touch "$suite/.complete"
fi

cat > "$work/portcullis.toml" <<'TOML'
[dev]
echo = true
[limits]
handshakes_per_second = 10000
handshake_burst = 10000
connections_per_user = 1000
TOML
place=(--config "$work/portcullis.toml" --data-dir "$work/data")
"$PORTCULLIS_BIN" serve "${place[@]}" --listen 127.0.0.1:0 --auth-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
    --ready-file "$work/ready" > "$work/server.out" 2> "$work/server.log" &
server=$!
until [ -e "$work/ready" ]; do
    kill -0 "$server" || { cat "$work/server.log" >&2; exit 3; }
    sleep 0.1
done

export SUITE=$suite WORK=$work CASES=${1:-*}
TOKEN=$("$PORTCULLIS_BIN" token mint "${place[@]}" --sub autobahn --ttl 1h); export TOKEN
URL=$(sed -n 's/.*"gateway":"http\([^"]*\)".*/ws\1/p' "$work/ready")/ws/echo; export URL
cat > "$work/run.py" <<'PY'
import json, os, site, sys
env = os.environ
site.addsitedir(env['SUITE'])
spec = {'outdir': env['WORK'], 'servers': [{'agent': 'portcullis', 'url': env['URL']}],
        'cases': env['CASES'].split(','), 'exclude-cases': ['12.*', '13.*'], 'exclude-agent-cases': {}}
with open(env['WORK'] + '/spec.json', 'w') as f:
    json.dump(spec, f)
from autobahntestsuite import fuzzing, wstest
# The suite has no setting for request headers.
plain = fuzzing.FuzzingClientFactory.setSessionParameters
def with_token(self, *args, **named):
    plain(self, *args, **named)
    self.headers = {'Authorization': 'Bearer ' + env['TOKEN']}
fuzzing.FuzzingClientFactory.setSessionParameters = with_token
start = fuzzing.FuzzingClientFactory.__init__
def note_cases(self, *args, **named):
    # Before the first connection: cases that never ran must not go unnoticed.
    start(self, *args, **named)
    with open(env['WORK'] + '/cases.json', 'w') as f:
        json.dump(self.specCases, f)
fuzzing.FuzzingClientFactory.__init__ = note_cases
sys.argv = ['wstest', '-m', 'fuzzingclient', '-s', env['WORK'] + '/spec.json']
wstest.run()
PY
PYTHONPATH=$suite timeout 1800 "$python" -W ignore "$work/run.py" > "$work/suite.log" 2>&1 ||
    { tail -n 20 "$work/suite.log" >&2; exit 1; }

python3 - "$work" "$CASES" <<'PY'
import json, sys
work, cases = sys.argv[1:]
asked = json.load(open(work + '/cases.json'))
results = json.load(open(work + '/index.json')).get('portcullis', {})
groups = {}
for case in asked:
    result = results.get(case, {'behavior': 'NOT RUN', 'behaviorClose': 'NOT RUN'})
    good_close = result['behaviorClose'] in ('OK', 'INFORMATIONAL')
    groups.setdefault(result['behavior'] if good_close else 'CLOSE ' + result['behaviorClose'], []).append(case)
failed = {name: ids for name, ids in groups.items() if name not in ('OK', 'NON-STRICT', 'INFORMATIONAL')}
summary = {'suite': 'autobahntestsuite 25.10.1', 'excluded': ['12.*', '13.*'], 'cases': len(asked),
           'failed': failed, 'ok': len(groups.get('OK', [])),
           'other': {name: ids for name, ids in groups.items() if name != 'OK' and name not in failed}}
print(json.dumps(summary, indent=2, sort_keys=True))
if cases == '*':
    with open('benches/autobahn.json', 'w') as f:
        f.write(json.dumps(summary, indent=2, sort_keys=True) + '\n')
sys.exit(1 if failed or not asked else 0)
PY
