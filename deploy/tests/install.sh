#!/usr/bin/env bash
# Installs what the checks of terraform/ and deploy/ need, and says so. Does nothing where it is there already.
#   deploy/tests/install.sh check   Debian's tools, a venv with moto and linters, checkov, Helm and tflint built by Go
#   deploy/tests/install.sh dist    cargo-deb, cargo-cyclonedx, lintian, debootstrap
#   deploy/tests/install.sh audit   cargo-deny
set -euo pipefail
cd "$(dirname "$0")/../.."

HELM=v3.22.0
TFLINT=v0.64.0
CARGO_DEB=3.8.0
CARGO_CYCLONEDX=0.5.9
CARGO_DENY=0.20.2

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs Debian packages that are missing: packages PACKAGE...
packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
}

# A venv with what a file of requirements names: venv FOLDER REQUIREMENTS
venv() {
  local folder=$1 requirements=$2
  if [ ! -f "$folder/.complete" ] || [ "$requirements" -nt "$folder/.complete" ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
    say "installing $requirements into $folder"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check -r "$requirements"
    touch "$folder/.complete"
  fi
}

# A program of a Go module: go_program NAME MODULE@VERSION
go_program() {
  local name=$1 module=$2 mark="target/go/$1-${2##*@}"
  if [ ! -f "$mark" ]; then
    command -v go >/dev/null || { say "Go is missing: $name is skipped, which CI does not accept"; return; }
    say "building $module"
    GOBIN="$PWD/target/go" go install -ldflags '-s -w' "$module"
    touch "$mark"
  fi
}

# promtool alone: Debian's package would start a server on the machine of whoever runs the checks.
promtool() {
  if [ ! -x target/promtool/usr/bin/promtool ]; then
    say "unpacking promtool of Debian's prometheus into target/promtool"
    rm -rf target/promtool
    mkdir -p target/promtool
    # As root, apt drops its rights to a user that must be able to write there.
    local folder
    folder=$(mktemp -d)
    chmod 755 "$folder"
    (cd "$folder" && { apt-get download -qq prometheus || { as_root apt-get update -qq && apt-get download -qq prometheus; }; } 2>/dev/null)
    dpkg-deb -x "$folder"/prometheus_*.deb target/promtool
    rm -rf "$folder"
  fi
}

check() {
  promtool
  packages shellcheck golang-github-containers-common libseccomp2 systemd docker-compose
  venv target/deploy-venv deploy/tests/requirements.txt
  # In a venv of its own: its pins are old.
  venv target/checkov deploy/tests/requirements-checkov.txt
  go_program helm "helm.sh/helm/v3/cmd/helm@$HELM"
  go_program tflint "github.com/terraform-linters/tflint@$TFLINT"
}

# A cargo program of one version: cargo_program NAME VERSION
cargo_program() {
  if ! cargo install --list | grep -q "^$1 v$2:"; then
    say "building $1 $2"
    cargo install --quiet --locked "$1@$2"
  fi
}

dist() {
  packages lintian debootstrap mandoc binutils file dpkg-dev fakeroot
  cargo_program cargo-deb "$CARGO_DEB"
  cargo_program cargo-cyclonedx "$CARGO_CYCLONEDX"
}

case "${1:-}" in
  check) check ;;
  dist) dist ;;
  audit) cargo_program cargo-deny "$CARGO_DENY" ;;
  *) sed -n '2,5p' "$0"; exit 2 ;;
esac
