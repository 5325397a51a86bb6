#!/usr/bin/env python3
"""Loads a container runtime's seccomp profile into this process, as a runtime does, and tries calls under it.

    seccomp_child.py PROFILE ring             makes a ring: "ring ERRNO"
    seccomp_child.py PROFILE fence            tries what must be refused
    seccomp_child.py PROFILE exec PROGRAM...  runs a program under it
"""

import ctypes
import errno
import json
import os
import platform
import sys

import pyseccomp as seccomp

COMPARE = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
NUMBERS = {"x86_64": {"ptrace": 101, "unshare": 272, "mount": 165, "keyctl": 250}, "aarch64": {"ptrace": 117, "unshare": 97, "mount": 40, "keyctl": 219}}
IO_URING_SETUP = 425  # the same on every architecture


def load(path):
    """A profile in the form of Docker and Kubernetes, for a process without capabilities."""
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)
    default = profile.get("defaultErrnoRet", 1)
    if profile.get("defaultErrno") == "ENOSYS":
        default = errno.ENOSYS
    rules = seccomp.SyscallFilter(seccomp.ERRNO(default))
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or includes.get("arches") and MACHINE not in includes["arches"] or MACHINE in (excludes.get("arches") or []):
            continue
        if rule["action"] == "SCMP_ACT_ALLOW":
            action = seccomp.ALLOW
        else:
            code = rule.get("errnoRet", getattr(errno, rule["errno"], 1) if rule.get("errno") else 1)
            if code == default:
                continue  # the library refuses a rule that says what holds anyway
            action = seccomp.ERRNO(code)
        arguments = []
        for argument in rule.get("args") or []:
            if argument["op"] == "SCMP_CMP_MASKED_EQ":
                arguments.append(seccomp.Arg(argument["index"], seccomp.MASKED_EQ, argument["value"], argument.get("valueTwo", 0)))
            else:
                arguments.append(seccomp.Arg(argument["index"], COMPARE[argument["op"]], argument["value"]))
        for name in rule["names"]:
            try:
                rules.add_rule(action, name, *arguments)
            except (OSError, ValueError):
                pass  # a call of another architecture, or newer than this library
    rules.load()


def errno_of(number, *arguments):
    """Error of a raw call, 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    return 0 if libc.syscall(number, *arguments) >= 0 else ctypes.get_errno()


def main():
    path, verb, *program = sys.argv[1:]
    load(path)
    if verb == "ring":
        print("ring", errno_of(IO_URING_SETUP, 8, ctypes.create_string_buffer(120)), flush=True)
    elif verb == "fence":
        numbers = NUMBERS[platform.machine()]
        print(", ".join(f"{name} {errno_of(number, *([0x10000000] if name == 'unshare' else [0, 0, 0, 0, 0]))}" for name, number in numbers.items()), flush=True)
    else:
        os.execv(program[0], program)


main()
