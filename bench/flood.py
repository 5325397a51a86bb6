#!/usr/bin/env python3
"""What a flood of the API costs the pump: the demo alone and under h2load, in turns, on one machine.

    cargo build --release --locked -p controlplane
    bench/flood.py --rounds 3 --seconds 10 --rate 30000

The demo's servers, the API's threads and h2load share the cores that no shard owns, so that at `--rate max` the flood takes
time from the servers too. CPU per message is that of the data plane's threads alone. Needs h2load (Debian: nghttp2-client).
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS = 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millrace", default=ROOT / "target" / "release" / "millrace", help="the binary")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of one run alone and one flooded each")
    parser.add_argument("--seconds", type=int, default=15, help="length of a run")
    parser.add_argument("--rate", default="30000", help="messages per second that the demo is given, or max")
    parser.add_argument("--requests", type=int, default=10_000, help="requests per second")
    parser.add_argument("--paths", default="/api/v1/pipelines", help="what is asked for, without a token; /livez is answered, the rest refused")
    return parser.parse_args()


def run(args, flooded):
    """One run of the demo; its figures, and those of the flood."""
    with tempfile.TemporaryDirectory() as folder:
        outcome, port_file = Path(folder, "outcome.json"), Path(folder, "port")
        demo = subprocess.Popen(
            [args.millrace, "demo", "--for", f"{args.seconds}s", "--rate", args.rate, "--shards", "1", "--listen", "127.0.0.1:0",
             "--port-file", port_file, "--json", outcome],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (port_file.exists() and port_file.read_text().strip()):
            if demo.poll() is not None:
                sys.exit("the demo ended before it listened")
            time.sleep(0.02)
        port = port_file.read_text().strip()
        flood = flood_of(args, port) if flooded else ""
        if demo.wait():
            sys.exit("the demo did not prove its claim")
        return json.loads(outcome.read_text()), flood


def flood_of(args, port):
    """Floods for as long as the demo measures; what h2load says."""
    urls = [f"http://127.0.0.1:{port}{path}" for path in args.paths.split(",")]
    return subprocess.run(
        ["h2load", "--h1", "-t", "1", "-c", str(CONNECTIONS), "--rps", str(args.requests // CONNECTIONS), "-D", str(args.seconds), *urls],
        check=True, capture_output=True, text=True).stdout


def main():
    args = arguments()
    if not shutil.which("h2load"):
        sys.exit("h2load is missing: apt-get install nghttp2-client")
    ratios = {"messages_per_second": [], "cpu_us_per_message": []}
    for number in range(args.rounds):
        figures = {}
        for flooded in ([False, True] if number % 2 == 0 else [True, False]):
            outcome, flood = run(args, flooded)
            figures[flooded] = outcome
            latency = outcome["latency_us"]["received_to_acked"]
            asked = re.search(r"finished in .*", flood)
            codes = re.search(r"status codes: .*", flood)
            print(f"{'flooded' if flooded else 'alone  '} {outcome['messages_per_second']:>9.0f} messages/s {outcome['cpu_us_per_message']:.2f} us CPU a message",
                  f"receive to ack p50 {latency['p50']} p99 {latency['p99']} p99.9 {latency['p999']} us", asked[0] if asked else "", codes[0] if codes else "", flush=True)
        for name, values in ratios.items():
            values.append(figures[True][name] / figures[False][name])
    for name, values in ratios.items():
        print(f"{name}: flooded / alone, median of {args.rounds}: {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    main()
