#!/bin/bash
# Assembles what is released into target/dist: a stripped tarball and a .deb with completions and manual pages, an SBOM, checksums.
#   dist.sh              from target/release/millrace
#   dist.sh --again      assembles a second time into target/dist-again and compares: the same binary gives the same bytes
set -euo pipefail
cd "$(dirname "$0")/../.."

export LC_ALL=C TZ=UTC
umask 022
version=$(sed -nE 's/^version = "(.*)"/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)
target=${CARGO_TARGET_DIR:-target}
binary=${MILLRACE:-$target/release/millrace}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
name="millrace-$version-linux-$architecture"

assemble() {
  local out=$1 folder="$1/$name"
  rm -rf "$out"
  mkdir -p "$folder"/{bin,systemd,man/man1,completions,doc,seccomp,prometheus,grafana}
  install -m 0755 "$binary" "$folder/bin/millrace"
  strip --strip-all "$folder/bin/millrace"
  # Debug symbols stay beside the release, for those who read a core.
  install -m 0644 deploy/systemd/{millrace.service,millrace.sysusers,90-millrace.conf} "$folder/systemd/"
  install -m 0644 deploy/seccomp/millrace.json "$folder/seccomp/"
  install -m 0644 deploy/prometheus/alerts.yaml "$folder/prometheus/"
  install -m 0644 deploy/grafana/millrace.json "$folder/grafana/"
  install -m 0644 deploy/debian/millrace.toml "$folder/doc/millrace.toml"
  "$folder/bin/millrace" config default > "$folder/doc/every-key.toml"
  install -m 0644 README.md LICENSE CHANGELOG.md docs/*.md "$folder/doc/"
  install -m 0755 deploy/dist/install.sh "$folder/install.sh"
  "$folder/bin/millrace" man --out "$folder/man/man1" 2>/dev/null
  gzip -9n "$folder"/man/man1/*.1
  "$folder/bin/millrace" completions bash > "$folder/completions/millrace.bash"
  "$folder/bin/millrace" completions zsh > "$folder/completions/_millrace"
  "$folder/bin/millrace" completions fish > "$folder/completions/millrace.fish"
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$out" -cf - "$name" | gzip -9n > "$out/$name.tar.gz"
  deb "$out" "$folder"
  rm -r "$folder"
}

# cargo-deb takes what was assembled; nothing is built again.
deb() {
  local out=$1 folder=$2 stage=controlplane/target-deb
  rm -rf "$stage"
  cp -r "$folder" "$stage"
  cargo deb --quiet --no-build --no-strip --package controlplane --output "$out/millrace_${version}_$architecture.deb"
  rm -r "$stage"
}

sbom() {
  cargo cyclonedx --quiet --format json --manifest-path controlplane/Cargo.toml --override-filename millrace.cdx
  # The path of this machine and the time of the run do not belong into what is released; librdkafka is C, which no Rust tool sees.
  python3 deploy/dist/sbom.py controlplane/millrace.cdx.json "$1/millrace-$version.cdx.json" "$SOURCE_DATE_EPOCH" "$("$binary" version -o json)"
  find . -name 'millrace.cdx.json' -not -path './target/*' -delete
}

case "${1:-}" in
  "")
    [ -x "$binary" ] || { echo "dist.sh: $binary is not built: cargo build --release --locked -p controlplane" >&2; exit 1; }
    assemble target/dist
    sbom target/dist
    (cd target/dist && sha256sum -- *.tar.gz *.deb *.json > SHA256SUMS && cat SHA256SUMS)
    ;;
  --again)
    assemble target/dist-again
    for file in "$name.tar.gz" "millrace_${version}_$architecture.deb"; do
      cmp "target/dist/$file" "target/dist-again/$file"
    done
    rm -r target/dist-again
    echo "dist.sh: tarball and .deb are the same bytes the second time"
    ;;
  *) sed -n '2,4p' "$0"; exit 2 ;;
esac
