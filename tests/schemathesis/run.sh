#!/usr/bin/env bash
# Try the real program against its own OpenAPI document with schemathesis: requests that the
# document allows and requests that it forbids, and every answer compared with what it says.
#
#   run.sh [--seconds N] [--seed N] [-- options of `schemathesis run`]
#   run.sh install        only make the venv
#
# --seconds  about how long (default 200)
# --seed     repeats the choices of an earlier run; each run prints its own (default 1)
# Environment: SCHEMATHESIS_HOME  where the venv is kept (default ~/.cache/spark-schemathesis)
#              PYTHON             (default python3, >= 3.10)
#
# Server, fake LangFlow and schemathesis run in a network namespace of their own, because the
# URLs that are made up for sources and alerts must not be asked. That needs `unshare` and the
# right to use it; without it the run is refused. What is left out and why stands in
# schemathesis.toml. Nothing that fails is accepted.
set -euo pipefail
cd "$(dirname "$0")/../.."

HOME_DIR=${SCHEMATHESIS_HOME:-$HOME/.cache/spark-schemathesis}
PYTHON=${PYTHON:-python3}
VERSIONS=(schemathesis==4.32.5 openapi-spec-validator==0.9.0)
SECONDS_MAX=200 SEED=1
HERE=$PWD/tests/schemathesis

say() { printf 'schemathesis/run.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

install() {
  local venv=$HOME_DIR/venv wanted=${VERSIONS[*]}
  if [ "$(cat "$venv/.versions" 2>/dev/null || true)" != "$wanted" ]; then
    say "installing $wanted into $venv"
    rm -rf "$venv"
    mkdir -p "$HOME_DIR"
    { "$PYTHON" -m venv "$venv" && "$venv/bin/pip" install -q "${VERSIONS[@]}"; } >&2
    echo "$wanted" >"$venv/.versions"
  fi
}

case ${1:-} in
  install) install; exit ;;
  --inside) shift ;;
  *)
    install
    cargo build -q -p spark-cli
    cargo build -q -p spark-tests --example fake_langflow
    # As another user's root, where there is no right to do so as oneself.
    for unshare in "unshare --net" "unshare --map-root-user --net"; do
      if $unshare true 2>/dev/null; then exec $unshare bash "$HERE/run.sh" --inside "$@"; fi
    done
    die "no network namespace can be made here (unshare --net); without one made-up URLs would be asked"
    ;;
esac

while [ $# -gt 0 ]; do
  case $1 in
    --seconds) SECONDS_MAX=${2:?--seconds needs a number}; shift 2 ;;
    --seed) SEED=${2:?--seed needs a number}; shift 2 ;;
    --) shift; break ;;
    *) die "unknown option $1" ;;
  esac
done

BIN=$HOME_DIR/venv/bin
PORT=8888 FAKE_PORT=7860
URL=http://127.0.0.1:$PORT
RUN=$(mktemp -d)
PIDS=()
finish() {
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$RUN"
}
trap finish EXIT

# A new namespace has a loopback device that is down.
"$BIN/python" - <<'PY'
import fcntl, socket, struct
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    flags = struct.unpack("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0))[:18])[1]
    fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))
PY

target=${CARGO_TARGET_DIR:-$PWD/target}/debug
unset "${!AUTOMAGIK_@}"
"$target/examples/fake_langflow" $FAKE_PORT 2>"$RUN/fake.log" &
PIDS+=($!)
"$target/automagik" --data-dir "$RUN/data" up --port $PORT >"$RUN/server.log" 2>&1 &
PIDS+=($!)
SERVER=$!
for _ in $(seq 300); do
  curl -sf -o /dev/null "$URL/readyz" && break
  kill -0 "$SERVER" 2>/dev/null || { cat "$RUN/server.log" >&2; die "the server did not start"; }
  sleep 0.1
done

# Things to be named by the requests; schemathesis.toml knows their names.
spark() { "$target/automagik" --data-dir "$RUN/data" --server $URL -q -o none "$@"; }
spark source add http://127.0.0.1:$FAKE_PORT --name home
spark flow sync --all
spark schedule create e2e-echo '0 * * * *' --name hourly
spark schedule create e2e-echo --every 1m --name often
spark flow run e2e-echo --input hello

key=$(cat "$RUN/data/api-key")
"$BIN/openapi-spec-validator" --schema 3.1 - < <(curl -sf "$URL/api/v1/openapi.json") >&2 ||
  die "the document is no OpenAPI 3.1"

say "seed $SEED, about $SECONDS_MAX s; the same again: tests/schemathesis/run.sh --seconds $SECONDS_MAX --seed $SEED"
status=0
SPARK_TASK=$(curl -sf -H "X-API-Key: $key" "$URL/api/v1/tasks?limit=1" |
  "$BIN/python" -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])')
export SPARK_TASK SPARK_KEY=$key SCHEMATHESIS_HOOKS=$HERE/hooks.py
# It leaves notes of what it found where it runs.
cd "$RUN"
"$BIN/schemathesis" --config-file "$HERE/schemathesis.toml" run "$URL/api/v1/openapi.json" \
  --seed "$SEED" --max-time "$SECONDS_MAX" "$@" || status=$?
kill -0 "$SERVER" 2>/dev/null || { tail -n 40 "$RUN/server.log" >&2; die "the server ended"; }
if grep -q "panicked" "$RUN/server.log"; then
  grep -n -m 5 -A 5 "panicked" "$RUN/server.log" >&2
  die "something panicked in the server"
fi
exit $status
