#!/usr/bin/env bash
# Tries the proxies' settings of docs/deployment.md with the real programs: nginx and HAProxy in front of a real server, on
# free ports of loopback, without TLS. Each has to pass an upgrade, its refusal with our reason, the longest token, the
# page and a login, and the client's address with it. Needs nginx and haproxy (Debian: nginx-light, haproxy).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${PORTCULLIS_BIN:-target/release/portcullis}
for program in nginx haproxy "$bin" curl python3; do
    command -v "$program" >/dev/null || { echo "proxies: $program is missing" >&2; exit 3; }
done

work=$(mktemp -d)
running=()
trap 'for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT

# One free port for each; the server gets its own.
read -r nginx_port haproxy_port < <(python3 - <<'PY'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in sockets))
PY
)
cat >"$work/portcullis.toml" <<TOML
[gateway]
allowed_origins = ["http://127.0.0.1:$nginx_port", "http://127.0.0.1:$haproxy_port"]
trusted_proxies = ["127.0.0.1"]
[handshake]
max_token_bytes = "16 KiB"
TOML
"$bin" serve --config "$work/portcullis.toml" --data-dir "$work/data" --listen 127.0.0.1:0 --auth-listen 127.0.0.1:0 \
    --ready-file "$work/ready.json" >"$work/server.log" 2>&1 &
running+=($!)
for _ in $(seq 200); do [ -s "$work/ready.json" ] && break; sleep 0.05; done
address() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]].removeprefix("http://"))' "$work/ready.json" "$1"; }
gateway=$(address gateway) auth=$(address auth)

# The block of a language from the page, as it stands there.
block() { awk -v fence="\`\`\`$1" '$0 == fence { on = 1; next } on && /^```/ { exit } on' docs/deployment.md; }

block nginx | sed -e "s/127.0.0.1:8000/$gateway/; s/127.0.0.1:8081/$auth/; s/listen 443 ssl;/listen 127.0.0.1:$nginx_port;/" \
    -e '/ssl_certificate/d' >"$work/site.conf"
cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http { access_log off; client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
uwsgi_temp_path $work/d; scgi_temp_path $work/e; include $work/site.conf; }
CONF
nginx -c "$work/nginx.conf" -e "$work/nginx.log" &
running+=($!)

block haproxy | sed -e "s/127.0.0.1:8000/$gateway/; s/127.0.0.1:8081/$auth/" \
    -e "s|bind :443 ssl.*|bind 127.0.0.1:$haproxy_port|" >"$work/haproxy.cfg"
haproxy -f "$work/haproxy.cfg" -db >"$work/haproxy.log" 2>&1 &
running+=($!)

"$bin" users add ada --data-dir "$work/data" --password-stdin <<<'correct horse battery' >/dev/null
good=$("$bin" token mint --data-dir "$work/data" --sub ada)
long=$("$bin" token mint --data-dir "$work/data" --sub ada --claim "filler=$(printf 'x%.0s' $(seq 11500))")
expired=$("$bin" token mint --data-dir "$work/data" --sub ada --ttl=-1h)
wrapped() { printf %s "$1" | base64 -w 0 | tr '+/' '-_' | tr -d =; }

failed=0
expect() { # NAME WANTED FOUND
    if [[ $3 == *$2* ]]; then echo "  ok: $1"; else echo "  FAILED: $1: $2 is not in: ${3:0:300}"; failed=1; fi
}
upgrade() { # PORT TOKEN
    curl -s -i -N --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
        -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H "Origin: http://127.0.0.1:$1" \
        -H "Sec-WebSocket-Protocol: jwt-auth, jwt.$(wrapped "$2")" "http://127.0.0.1:$1/ws" | tr -d '\0' || true
}
for proxy in "nginx $nginx_port" "HAProxy $haproxy_port"; do
    read -r name port <<<"$proxy"
    echo "$name"
    for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/ws/health" && break; sleep 0.05; done
    answer=$(upgrade "$port" "$good")
    expect 'an upgrade' '101 Switching Protocols' "$answer"
    expect 'the greeting behind it' 'connection_established' "$answer"
    expect 'the longest token' '101 Switching Protocols' "$(upgrade "$port" "$long")"
    answer=$(upgrade "$port" "$expired")
    expect 'a refusal' '401' "$answer"
    expect 'its reason' '"reason":"TOKEN_EXPIRED"' "$answer"
    expect 'the page' '<title>' "$(curl -s "http://127.0.0.1:$port/")"
    # From an address of its own for each proxy, so that the log tells whether the client is known by it.
    client=127.0.0.$((2 + port % 200))
    expect 'a login' 'access_token' "$(curl -s --interface "$client" -H 'Content-Type: application/json' \
        -H "Origin: http://127.0.0.1:$port" -d '{"username":"ada","password":"correct horse battery"}' \
        "http://127.0.0.1:$port/auth/login")"
    expect 'whose login it was' "\"address\":\"$client\"" "$(grep '"action":"login"' "$work/server.log")"
done
exit $failed
