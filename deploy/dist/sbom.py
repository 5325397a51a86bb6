#!/usr/bin/env python3
"""Finishes a CycloneDX file: takes out what belongs to the machine that made it, adds the C library: sbom.py IN OUT EPOCH VERSION_JSON"""

import datetime
import json
import sys


def main(source, target, epoch, version):
    with open(source, encoding="utf-8") as file:
        bom = json.load(file)
    version = json.loads(version)
    bom.pop("serialNumber", None)
    bom["metadata"]["timestamp"] = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    bom["components"].append({
        "type": "library", "bom-ref": "pkg:generic/librdkafka", "name": "librdkafka", "version": version["librdkafka"],
        "purl": f"pkg:generic/librdkafka@{version['librdkafka']}", "licenses": [{"expression": "BSD-2-Clause"}],
        "description": "Built into rdkafka-sys; links the machine's OpenSSL",
    })
    text = json.dumps(strip(bom), indent=1, sort_keys=True)
    if "path+file" in text:
        sys.exit("sbom.py: a path of this machine is left in the SBOM")
    with open(target, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def strip(value):
    """References by path become references by name."""
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strip(item) for item in value]
    if isinstance(value, str) and value.startswith("path+file://"):
        return "workspace:" + value.rsplit("/", 1)[1]
    return value


main(*sys.argv[1:5])
