"""Reachability over a plan's JSON: can a packet go from one place to another, and can its answer come back?

Reads `terraform show -json` of a plan whose ids are known (a second plan), follows security groups, network ACLs, route tables and the
transit gateway, and says at which piece a packet stops. Nothing is asked of AWS.
"""

import copy
import ipaddress

EPHEMERAL = 40000  # a port of a client


class Net:
    """The network that a plan describes."""

    def __init__(self, plan):
        self.all = list(resources(plan["planned_values"]["root_module"]))

    def of(self, kind):
        """Values of all resources of a kind."""
        return [resource["values"] for resource in self.all if resource["type"] == kind]

    def one(self, kind, **wanted):
        """The resource whose attributes are these, or None."""
        return next((values for values in self.of(kind) if all(values.get(key) == value for key, value in wanted.items())), None)

    # --- pieces ---

    def group_lets(self, group, direction, peer, port):
        """Whether a security group lets a flow through; `peer` has the address and the groups of the other end."""
        for rule in self.of(f"aws_vpc_security_group_{direction}_rule"):
            if rule["security_group_id"] != group:
                continue
            if rule["ip_protocol"] not in ("-1", "tcp") or rule["ip_protocol"] == "tcp" and not rule["from_port"] <= port <= rule["to_port"]:
                continue
            if rule.get("cidr_ipv4") and inside(peer["address"], rule["cidr_ipv4"]):
                return True
            if rule.get("referenced_security_group_id") in peer["groups"]:
                return True
        return False

    def acl_lets(self, subnet, egress, peer, port):
        """Whether the ACL of a subnet lets a packet through."""
        acl = next((acl for acl in self.of("aws_network_acl") if subnet["id"] in acl["subnet_ids"]), None)
        if acl is None:
            return False
        rules = [rule for rule in self.of("aws_network_acl_rule") if rule["network_acl_id"] == acl["id"] and bool(rule["egress"]) == egress]
        for rule in sorted(rules, key=lambda rule: rule["rule_number"]):
            is_any = str(rule["protocol"]) in ("-1", "all")
            is_tcp = str(rule["protocol"]) in ("6", "tcp")
            if inside(peer, rule["cidr_block"]) and (is_any or is_tcp and (rule["from_port"] or 0) <= port <= (rule["to_port"] or 0)):
                return rule["rule_action"] == "allow"
        return False

    def route(self, subnet, address):
        """Where a packet of a subnet goes: `local`, a transit gateway's id, or None."""
        vpc = self.one("aws_vpc", id=subnet["vpc_id"])
        if vpc and inside(address, vpc["cidr_block"]):
            return "local"
        link = self.one("aws_route_table_association", subnet_id=subnet["id"])
        if link is None:
            return None
        routes = [route for route in self.of("aws_route") if route["route_table_id"] == link["route_table_id"]]
        found = [route for route in routes if inside(address, route["destination_cidr_block"])]
        best = max(found, key=lambda route: ipaddress.ip_network(route["destination_cidr_block"]).prefixlen, default=None)
        return best["transit_gateway_id"] if best else None

    def transit_lets(self, gateway, source, target, address):
        """Why a transit gateway does not carry a packet from one VPC to another, or None. Also looks at the zones of its attachments."""
        here, there = (self.one("aws_ec2_transit_gateway_vpc_attachment", transit_gateway_id=gateway, vpc_id=vpc) for vpc in (source, target))
        if here is None or there is None:
            return "a VPC is not attached"
        table = self.one("aws_ec2_transit_gateway_route_table_association", transit_gateway_attachment_id=here["id"])
        if table is None:
            return "the attachment is associated with no table"
        learnt = self.one("aws_ec2_transit_gateway_route_table_propagation", transit_gateway_attachment_id=there["id"],
                          transit_gateway_route_table_id=table["transit_gateway_route_table_id"])
        if learnt is None:
            return "the table has not learnt the other VPC"
        if not inside(address, self.one("aws_vpc", id=target)["cidr_block"]):
            return "the other VPC has no such address"
        return None

    def one_way(self, source, target, port, opening):
        """Why a packet does not arrive, or None. `opening`: the first packet, which security groups judge; answers pass them."""
        if opening and not any(self.group_lets(group, "egress", target, port) for group in source["groups"]):
            return "security group of the sender"
        here, there = source["subnet"], target["subnet"]
        if here["id"] != there["id"] and not self.acl_lets(here, True, target["address"], port):
            return "ACL of the sender"
        way = self.route(here, target["address"])
        if way is None:
            return "no route"
        if way == "local":
            if here["vpc_id"] != there["vpc_id"]:
                return "the VPC has no such address"
        else:
            trouble = self.transit_lets(way, here["vpc_id"], there["vpc_id"], target["address"])
            if trouble:
                return trouble
        if here["id"] != there["id"] and not self.acl_lets(there, False, source["address"], port):
            return "ACL of the receiver"
        if opening and not any(self.group_lets(group, "ingress", source, port) for group in target["groups"]):
            return "security group of the receiver"
        return None

    def trouble(self, source, target, port):
        """Why a connection cannot be made, or None."""
        there = self.one_way(source, target, port, opening=True)
        if there:
            return f"there: {there}"
        back = self.one_way(target, source, EPHEMERAL, opening=False)
        return f"back: {back}" if back else None

    def place(self, subnet_id, groups, host=20):
        """An address in a subnet with security groups."""
        subnet = self.one("aws_subnet", id=subnet_id)
        return {"subnet": subnet, "address": str(ipaddress.ip_network(subnet["cidr_block"])[host]), "groups": groups}


def resources(module):
    """All resources below a module."""
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


def inside(address, cidr):
    """Whether a range has an address."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def flows(net, reach):
    """What must and what must not be possible: name, whether, and why not (None: it is)."""
    groups = reach["groups"]
    for a in reach["subnets"]["a"]:
        processor = net.place(a, [groups["processor"]])
        for b in reach["subnets"]["b"]:
            broker = net.place(b, [groups["brokers"]], host=30)
            yield f"processor {processor['address']} -> broker {broker['address']}", True, net.trouble(processor, broker, reach["port"])
            yield f"processor -> ssh of broker {broker['address']}", False, net.trouble(processor, broker, 22)
            yield f"broker {broker['address']} -> processor", False, net.trouble(broker, processor, 8080)
        sqs = net.one("aws_vpc_endpoint", id=reach["endpoints"]["sqs"])
        for subnet in sqs["subnet_ids"] if sqs else [a]:
            endpoint = net.place(subnet, list(sqs["security_group_ids"]) if sqs else [], host=40)
            trouble = net.trouble(processor, endpoint, 443) if sqs else "there is no endpoint"
            if sqs and not sqs["private_dns_enabled"]:
                trouble = "the endpoint has no private DNS"
            yield f"processor {processor['address']} -> SQS {endpoint['address']}", True, trouble
            for b in reach["subnets"]["b"]:
                broker = net.place(b, [groups["brokers"]], host=30)
                yield f"broker {broker['address']} -> SQS {endpoint['address']}", False, net.trouble(broker, endpoint, 443)


def wrong(plan, reach):
    """Flows that are not as they must be."""
    net = Net(plan)
    try:
        return [f"{name}: {'refused, ' + why if why else 'possible'}" for name, is_wanted, why in flows(net, reach) if (why is None) != is_wanted]
    except (KeyError, TypeError) as error:
        return [f"a piece is missing: {error!r}"]


# Pieces without which something that must work does not. Rules for image layers and among brokers, and what an ACL lets out of the
# attachment's subnets, carry other flows than these.
PIECES = [
    "aws_vpc_security_group_egress_rule.processor_to_endpoints", "aws_vpc_security_group_egress_rule.processor_to_brokers",
    "aws_vpc_security_group_ingress_rule.endpoints_from_processor", "aws_vpc_security_group_ingress_rule.brokers_from_processor",
    "aws_route.this", "aws_ec2_transit_gateway_vpc_attachment.this", "aws_ec2_transit_gateway_route_table_association.this",
    "aws_ec2_transit_gateway_route_table_propagation.this", "aws_vpc_endpoint.sqs",
    'aws_network_acl_rule.this["a/tls-out"]', 'aws_network_acl_rule.this["a/tls-in"]', 'aws_network_acl_rule.this["a/kafka-out"]',
    'aws_network_acl_rule.this["a/answer-in"]', 'aws_network_acl_rule.this["a/answer-out"]',
    'aws_network_acl_rule.this["b/kafka-in"]', 'aws_network_acl_rule.this["b/answer-out"]',
]

# In a cluster the nodes talk to one another on every port, which carries the way to the endpoints in the same subnets too.
OF_THE_CLUSTER = {'aws_network_acl_rule.this["a/tls-out"]', 'aws_network_acl_rule.this["a/tls-in"]', 'aws_network_acl_rule.this["a/answer-out"]'}


def is_cluster(plan):
    """Whether the plan has an EKS cluster."""
    return any(resource["type"] == "aws_eks_cluster" for resource in resources(plan["planned_values"]["root_module"]))


def without(plan, address):
    """The plan less one resource."""
    changed = copy.deepcopy(plan)
    walk(changed["planned_values"]["root_module"], address)
    return changed


def walk(module, address):
    module["resources"] = [resource for resource in module.get("resources", []) if resource["address"] != address]
    for child in module.get("child_modules", []):
        walk(child, address)


def opened(plan, reach):
    """The plan with the doors open that keep Kafka's side from SQS: the check must see that."""
    changed = copy.deepcopy(plan)
    net = Net(changed)
    for acl in net.of("aws_network_acl"):
        for egress in (True, False):
            rule = {"network_acl_id": acl["id"], "egress": egress, "rule_number": 1, "protocol": "-1", "cidr_block": "0.0.0.0/0",
                    "rule_action": "allow", "from_port": 0, "to_port": 0}
            changed["planned_values"]["root_module"].setdefault("resources", []).append({"type": "aws_network_acl_rule", "address": "x", "values": rule})
    for group, direction in ((reach["groups"]["endpoints"], "ingress"), (reach["groups"]["brokers"], "egress")):
        rule = {"security_group_id": group, "ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0", "from_port": None, "to_port": None}
        changed["planned_values"]["root_module"]["resources"].append({"type": f"aws_vpc_security_group_{direction}_rule", "address": "x", "values": rule})
    return changed


def check(plan, reach):
    """Asserts that all flows are as they must be, and that the check sees each missing piece. Returns the counts."""
    found = wrong(plan, reach)
    assert not found, "reachability: " + "; ".join(found)
    removed = 0
    pieces = [piece for piece in PIECES if not (is_cluster(plan) and piece in OF_THE_CLUSTER)]
    for resource in list(resources(plan["planned_values"]["root_module"])):
        name = resource["address"][resource["address"].index(resource["type"]):]
        if any(name == piece or name.startswith(f"{piece}[") for piece in pieces):
            assert wrong(without(plan, resource["address"]), reach), f"the check does not miss {resource['address']}"
            removed += 1
    assert any("-> SQS" in text and "possible" in text for text in wrong(opened(plan, reach), reach)), "the check does not see that B reaches SQS"
    return len(list(flows(Net(plan), reach))), removed
