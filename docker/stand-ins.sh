#!/bin/sh
# Writes an empty source for every target of the workspace, so that its dependencies can be built
# before its sources are there. Run in the folder of the workspace's Cargo.toml.
set -eu

for member in events actors projections api tests; do
    mkdir -p "$member/src"
    : > "$member/src/lib.rs"
done
mkdir -p cli/src
echo 'fn main() {}' > cli/src/main.rs

# Targets whose paths the manifests name; Cargo wants them to exist although it does not build them.
sed -n 's/^path = "\(.*\.rs\)"$/\1/p' cli/Cargo.toml | while read -r path; do
    mkdir -p "cli/$(dirname "$path")"
    [ -e "cli/$path" ] || echo 'fn main() {}' > "cli/$path"
done
sed -n 's/^path = "\(.*\.rs\)"$/\1/p' tests/Cargo.toml | while read -r path; do
    mkdir -p "tests/$(dirname "$path")"
    [ -e "tests/$path" ] || echo 'fn main() {}' > "tests/$path"
done
