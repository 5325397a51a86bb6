#!/usr/bin/env bash
# Installs what the build or the tests need, and says so. Does nothing where it is there already.
#   tests/install.sh build    compiler, OpenSSL headers (librdkafka's TLS)
#   tests/install.sh test     Java, Maven, jars of Kafka and ElasticMQ, moto in a venv
#   tests/install.sh ratchet  valgrind
#   tests/install.sh cases    Schemathesis in a venv
#   tests/install.sh dashboard  packages of dashboard/package-lock.json; needs Node 20.19 or newer
#   tests/install.sh e2e      Chromium, and what the dashboard needs
set -euo pipefail
cd "$(dirname "$0")/.."

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

# Copies a pom's jars once: jars POM FOLDER
jars() {
  local pom=$1 folder=$2
  if [ ! -f "$folder/.complete" ] || [ "$pom" -nt "$folder/.complete" ]; then
    say "fetching jars of $pom into $folder"
    rm -rf "$folder"
    mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/$folder" -DincludeScope=runtime
    touch "$folder/.complete"
  fi
}

build() {
  # gcc and make build librdkafka; libssl-dev gives it TLS and SCRAM.
  packages gcc g++ make pkg-config libssl-dev
  command -v cargo >/dev/null || { say "Rust is missing: https://rustup.rs, then run this again"; exit 1; }
}

# Major version of the Java that is there; 0 without one.
java_version() {
  java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p;q' | grep . || echo 0
}

# Kafka 4 needs Java 17. Debian 12 has that version by name, later releases a newer one by default.
java_runtime() {
  [ "$(java_version)" -ge 17 ] && return
  as_root apt-get update -qq
  if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
    packages openjdk-17-jre-headless
  else
    packages default-jre-headless
  fi
}

tests() {
  java_runtime
  # Certificates of the TLS scenarios.
  packages openssl
  command -v mvn >/dev/null || packages maven
  jars tests/kafka/pom.xml target/kafka/libs
  jars tests/elasticmq/pom.xml target/elasticmq/libs
  if [ ! -f target/venv/.complete ] || [ tests/requirements.txt -nt target/venv/.complete ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
    say "installing moto and boto3 into target/venv"
    rm -rf target/venv
    python3 -m venv target/venv
    target/venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
    touch target/venv/.complete
  fi
}

ratchet() {
  packages valgrind
}

cases() {
  if [ ! -f target/venv-cases/.complete ] || [ tests/requirements-cases.txt -nt target/venv-cases/.complete ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
    say "installing Schemathesis into target/venv-cases"
    rm -rf target/venv-cases
    python3 -m venv target/venv-cases
    target/venv-cases/bin/pip install -q --disable-pip-version-check -r tests/requirements-cases.txt
    touch target/venv-cases/.complete
  fi
}

dashboard() {
  command -v npm >/dev/null || { say "Node 20.19 or newer is missing: https://nodejs.org, then run this again"; exit 1; }
  if [ ! -f dashboard/node_modules/.complete ] || [ dashboard/package-lock.json -nt dashboard/node_modules/.complete ]; then
    say "installing the packages of dashboard/package-lock.json"
    npm --prefix dashboard ci --silent --no-fund --no-audit
    touch dashboard/node_modules/.complete
  fi
}

e2e() {
  dashboard
  # Fonts, so that pictures have letters.
  packages chromium fonts-dejavu-core
}

case "${1:-}" in
  build) build ;;
  test) tests ;;
  ratchet) ratchet ;;
  cases) cases ;;
  dashboard) dashboard ;;
  e2e) e2e ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
