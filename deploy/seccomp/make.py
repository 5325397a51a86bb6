#!/usr/bin/env python3
"""Makes millrace.json from a container runtime's default profile: python3 make.py DEFAULT.json > millrace.json

Begins from the list that Debian ships for Podman (package golang-github-containers-common, Apache-2.0), keeps what a process without
capabilities may call, and adds the calls of io_uring. The result has no condition on capabilities, so that every runtime reads it alike.
"""

import json
import sys

IO_URING = ["io_uring_enter", "io_uring_register", "io_uring_setup"]
ARCHITECTURES = [
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
]
# What a process that drops all capabilities never needs and an attacker likes.
REFUSED = {"ptrace", "process_vm_readv", "process_vm_writev", "userfaultfd", "mount", "umount", "umount2", "unshare", "setns",
           "pivot_root", "keyctl", "add_key", "request_key", "name_to_handle_at", "reboot", "swapon", "swapoff"}


# Every flag that makes a namespace. clone3 hides its flags behind a pointer; glibc falls back to clone when it is told that there is none.
NEW_NAMESPACES = 0x7E020000
CLONE = [
    {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
     "args": [{"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
]


def main(path):
    with open(path, encoding="utf-8") as file:
        default = json.load(file)
    plain, conditional = set(), []
    for rule in default["syscalls"]:
        includes = rule.get("includes") or {}
        arches = includes.get("arches")
        if rule["action"] != "SCMP_ACT_ALLOW" or includes.get("caps"):
            continue
        if arches and not {"amd64", "arm64"} & set(arches):
            continue
        if rule.get("args"):
            # Sockets of the audit subsystem (family 16, protocol 9) stay out.
            conditional.append({"names": rule["names"], "action": "SCMP_ACT_ALLOW", "args": rule["args"]})
        else:
            plain |= set(rule["names"])
    plain = (plain | set(IO_URING)) - REFUSED - {"clone", "clone3"}
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": ARCHITECTURES,
        "syscalls": [{"names": sorted(plain), "action": "SCMP_ACT_ALLOW"}, *conditional, *CLONE],
    }
    print(json.dumps(profile, indent=2))


main(sys.argv[1])
