#!/usr/bin/env bash
# Installs the programs that Millrace is measured beside, and says so. Does nothing where they are there already.
#   bench/peers/install.sh python      boto3 and confluent-kafka in target/venv-peers (seconds)
#   bench/peers/install.sh connect     Redpanda Connect, built with Go (three minutes on two cores)
#   bench/peers/install.sh mq-bridge   mq-bridge, built with cargo (a quarter of an hour on two cores)
#   bench/peers/install.sh all
# Vector cannot be built from the registries alone: install it yourself and name it with `--vector PATH`.
set -euo pipefail
cd "$(dirname "$0")/../.."

CONNECT=v4.105.0
MQ_BRIDGE=1.3.0

say() { printf 'peers: %s\n' "$*" >&2; }

# Whether a peer of this version is there: is_there NAME VERSION
is_there() {
  [ "$(cat "target/peers/.$1" 2>/dev/null || true)" = "$2" ]
}

python() {
  local requirements=bench/peers/requirements.txt
  if [ ! -f target/venv-peers/.complete ] || [ "$requirements" -nt target/venv-peers/.complete ]; then
    say "installing boto3 and confluent-kafka into target/venv-peers"
    rm -rf target/venv-peers
    python3 -m venv target/venv-peers
    target/venv-peers/bin/pip install -q --disable-pip-version-check -r "$requirements"
    touch target/venv-peers/.complete
  fi
}

connect() {
  is_there connect "$CONNECT" && return
  command -v go >/dev/null || { say "Go 1.26 is missing: https://go.dev/dl, then run this again"; exit 1; }
  say "building Redpanda Connect $CONNECT, about three minutes"
  local folder=target/peers/src-connect
  rm -rf "$folder"
  mkdir -p "$folder"
  cp bench/peers/connect/main.go "$folder"
  (
    cd "$folder"
    go mod init peer 2>/dev/null
    go get "github.com/redpanda-data/connect/v4@$CONNECT"
    go mod tidy
    go build -ldflags '-s -w' -o ../connect .
  )
  echo "$CONNECT" >target/peers/.connect
}

mq_bridge() {
  is_there mq-bridge "$MQ_BRIDGE" && return
  say "building mq-bridge $MQ_BRIDGE, about a quarter of an hour"
  # A target folder of its own, so that an interrupted build goes on where it was.
  CARGO_TARGET_DIR=target/peers/src-mq-bridge cargo install mq-bridge-app --version "$MQ_BRIDGE" --locked \
    --no-default-features --features aws,kafka,http,mimalloc,rustls-aws-lc --root target/peers/mq-bridge
  ln -sf mq-bridge/bin/mq-bridge-app target/peers/mq-bridge-app
  echo "$MQ_BRIDGE" >target/peers/.mq-bridge
}

mkdir -p target/peers
case "${1:-}" in
  python) python ;;
  connect) connect ;;
  mq-bridge) mq_bridge ;;
  all) python && connect && mq_bridge ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac
