#!/bin/bash
# Builds the image with both bases pinned to what their tags mean today, and writes down what that was: build.sh NAME:TAG
set -euo pipefail
cd "$(dirname "$0")/../.."

name=${1:?usage: deploy/docker/build.sh NAME:TAG}
pinned() {
  local digest
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1")
  case $digest in
    sha256:*) printf '%s@%s\n' "${1%:*}" "$digest" ;;
    *) echo "build.sh: no digest of $1" >&2; return 1 ;;
  esac
}
build_base=$(pinned docker.io/library/rust:1.95-bookworm)
root_base=$(pinned docker.io/library/debian:12-slim)
mkdir -p target/dist
printf '%s\n' "$build_base" "$root_base" | tee target/dist/image-bases.txt
docker build -f deploy/docker/Dockerfile --build-arg BUILD_BASE="$build_base" --build-arg ROOT_BASE="$root_base" -t "$name" .
