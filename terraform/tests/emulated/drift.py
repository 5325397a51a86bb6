"""The second plan: what the emulator is known not to read back, by address and attribute. Everything else must be without change."""

import re

ANY = None
# Address without keys, attributes that may differ (ANY: the whole resource), what the emulator does not do.
ALLOWED = [
    (r"aws_ec2_transit_gateway_vpc_attachment", {"tags", "tags_all"}, "tags of attachments are not read back"),
    (r"aws_ecs_service", ANY, "strategy and placement are not read back, which asks for a replacement"),
    (r"aws_eks_node_group", ANY, "launch template and update settings are not read back"),
    (r"aws_eks_cluster", {"bootstrap_self_managed_addons", "compute_config", "access_config", "upgrade_policy", "encryption_config",
                          "kubernetes_network_config", "storage_config", "remote_network_config", "zonal_shift_config"},
     "newer settings are not read back"),
    (r"aws_launch_template", {"tag_specifications", "default_version", "latest_version", "vpc_security_group_ids"}, "tags come back as a specification; EKS has no group of the cluster"),
    (r"aws_autoscaling_group", {"launch_template", "capacity_reservation_specification", "default_instance_warmup"},
     "follows the template's version; newer settings are not read back"),
    (r"aws_vpc_security_group_(in|e)gress_rule", {"description", "tags", "tags_all"}, "descriptions of rules without a range are not read back"),
    (r"aws_vpc_endpoint", {"policy", "dns_options", "ip_address_type", "subnet_configuration"}, "DNS options are not read back"),
    (r"aws_appautoscaling_(target|policy)", {"tags", "tags_all"}, "tags are not read back"),
    (r"aws_autoscaling_policy", {"enabled", "predictive_scaling_configuration"}, "not read back"),
    (r"aws_msk_cluster", ANY, "the emulator knows the older half of the cluster's settings"),
    (r"aws_msk_configuration", {"description", "kafka_versions"}, "not read back"),
    (r"aws_msk_scram_secret_association", ANY, "follows the cluster"),
    # The appliance's settings name the brokers, which are unknown while the cluster is to change.
]


def judge(plan, follows=()):
    """Counts of allowed and unexpected differences, the latter as texts. `follows`: addresses that change because an allowed one does."""
    allowed, unexpected = 0, []
    for change in plan.get("resource_changes", []):
        actions = change["change"]["actions"]
        if actions in (["no-op"], ["read"]):
            continue
        kind, before, after = change["type"], change["change"]["before"] or {}, change["change"]["after"] or {}
        unknown = change["change"].get("after_unknown") or {}
        differing = {key for key in {*before, *after, *unknown} if before.get(key) != after.get(key) or unknown.get(key) is True}
        rule = next((rule for rule in ALLOWED if re.fullmatch(rule[0], kind)), None)
        if rule and before and (rule[1] is ANY or differing <= rule[1]):
            allowed += 1
        elif before and any(change["address"].startswith(address) for address in follows):
            allowed += 1
        else:
            unexpected.append(f"{change['address']}: {'/'.join(actions)} of {', '.join(sorted(differing)) or 'everything'}")
    return allowed, unexpected
