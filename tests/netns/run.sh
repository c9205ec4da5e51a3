#!/usr/bin/env bash
# A worker on another host, played by two network namespaces with one cable between them: server and
# LangFlow here, the worker there, and the cable cut and mended in the middle of a run
# (tests/all/workers/netns.rs). Needs root and Linux; says so and leaves it out where that is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

left_out() { echo "two hosts: left out: $*"; exit 0; }

[ "$(uname)" = Linux ] || left_out "network namespaces are Linux's"
[ "$(id -u)" = 0 ] || left_out "making network namespaces takes root"
command -v ip >/dev/null || { apt-get update -q && apt-get install -qy iproute2; } ||
  left_out "the command ip (iproute2) is missing"

here=spark-here-$$ there=spark-there-$$
cable=spk$$a far_end=spk$$b
clean() {
  ip netns delete "$there" 2>/dev/null || true
  ip netns delete "$here" 2>/dev/null || true
}
trap clean EXIT
ip netns add "$here" && ip netns add "$there" || left_out "this machine permits no network namespaces"
ip link add "$cable" netns "$here" type veth peer name "$far_end" netns "$there" ||
  left_out "this machine permits no cable between two network namespaces"
ip -n "$here" address add 10.77.0.1/24 dev "$cable"
ip -n "$there" address add 10.77.0.2/24 dev "$far_end"
for host in "$here lo" "$here $cable" "$there lo" "$there $far_end"; do
  ip -n "${host% *}" link set "${host#* }" up
done

cargo build --package spark-cli
cargo test --package spark-tests --test all --no-run
ip netns exec "$here" env SPARK_NETNS_THERE="$there" SPARK_NETNS_CABLE="$cable" \
  SPARK_NETNS_HERE_IP=10.77.0.1 CARGO_NET_OFFLINE=true \
  cargo test --package spark-tests --test all -- --ignored two_hosts --test-threads 1
