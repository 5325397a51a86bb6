#!/usr/bin/env python3
"""Each example on an emulator of AWS: apply, assertions, second plan, reachability, the appliance, rights, destroy.

    python terraform/tests/emulated/run.py [EXAMPLE...]

The examples run beside each other, each with an emulator of its own on loopback: most of the time is the provider waiting. What the emulator
cannot show is listed in terraform/README.md.
"""

import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2] / "deploy" / "tests")]

import appliance  # noqa: E402
import assertions  # noqa: E402
import drift  # noqa: E402
import matrix  # noqa: E402
import reach  # noqa: E402
from layers import Layers  # noqa: E402
from stack import Stack  # noqa: E402
from terraform import EXAMPLES  # noqa: E402

RESOURCES_MIN = 60
# Where the appliance is run: both ways to configure it, a standard and a FIFO queue. The fourth, msk, has a FIFO queue and no other difference.
WITH_APPLIANCE = {"single-vpc", "two-vpc-ecs", "two-vpc-eks"}
# What the emulator's gaps touch beyond the resources of drift.ALLOWED: texts that hold an id of theirs.
FOLLOWS = {"msk": ["module.millrace.module.compute_ec2[0].aws_launch_template"]}
one_matrix = threading.Lock()
one_appliance = threading.Lock()


def play(layers, example):
    """All layers of one example, in order; a failure leaves out what builds on it."""
    stack = Stack(example)
    made = {}

    def applied():
        stack.__enter__()
        made["count"] = stack.apply()
        made["outputs"] = stack.outputs()
        assert made["count"] >= RESOURCES_MIN, f"only {made['count']} resources"
        return f"{made['count']} resources"

    def looked():
        return f"{assertions.check(stack, made['outputs'])} things asked by boto3"

    def planned():
        plan = stack.plan()
        made["plan"] = plan
        allowed, unexpected = drift.judge(plan, FOLLOWS.get(example, ()))
        assert not unexpected, "the second plan wants: " + "; ".join(unexpected)
        return f"no change but {allowed} that the emulator does not read back"

    def reached():
        flows, removed = reach.check(made["plan"], made["outputs"]["reach"])
        return f"{flows} flows, {removed} pieces removed one by one and missed"

    def ran():
        with one_appliance:
            return f"{appliance.check(stack, made['outputs'])} messages moved by the configuration of the outputs"

    def rights():
        with one_matrix:
            try:
                return f"{matrix.check(stack, made['outputs'])} cells"
            finally:
                matrix.relax(stack)

    def destroyed():
        count = stack.destroy()
        assert count == made["count"], f"{count} of {made['count']} resources destroyed"
        left = stack.client("ec2").describe_vpcs(Filters=[{"Name": "tag:Application", "Values": ["millrace"]}])["Vpcs"]
        assert not left, f"left over: {left}"
        return f"{count} resources"

    try:
        if layers.run(f"{example}: apply", applied):
            layers.run(f"{example}: assertions", looked)
            if layers.run(f"{example}: second plan", planned) or "plan" in made:
                layers.run(f"{example}: reachability", reached)
            if example in WITH_APPLIANCE:
                layers.run(f"{example}: appliance", ran)
            layers.run(f"{example}: rights", rights)
            layers.run(f"{example}: destroy", destroyed)
    finally:
        stack.__exit__()


def main():
    chosen = sys.argv[1:] or EXAMPLES
    layers = Layers()
    threads = [threading.Thread(target=play, args=(layers, example)) for example in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    layers.end()


main()
