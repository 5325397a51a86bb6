"""moto's server with the gaps filled in that the AWS provider trips over: python emulator.py PORT

Each patch says what is missing; drop it when moto gains it. tests/requirements.txt pins the version that these fit.
"""

import json
import os
import signal
import sys
import threading
from urllib.parse import unquote

os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")  # AmazonECSTaskExecutionRolePolicy and friends
from moto.server import ThreadedMotoServer
from moto.core.responses import ActionResult
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse as AAS
from moto.cloudwatch.responses import CloudWatchResponse as CW
from moto.kafka import urls as kafka_urls
from moto.kafka.exceptions import BadRequestException, NotFoundException
from moto.kafka.models import FakeKafkaCluster, KafkaBackend
from moto.kafka.responses import KafkaResponse
from moto.ec2.models.transit_gateway import TransitGateway as TGW
from moto.ec2.models.transit_gateway_attachments import TransitGatewayAttachmentBackend as TAB
from moto.route53.models import Route53Backend
from moto.route53.responses import Route53
from moto.route53resolver.models import Route53ResolverBackend as RRB
from moto.route53resolver.responses import Route53ResolverResponse as RRR
from moto.sqs.models import Queue
from moto.sqs.responses import SQSResponse


def wrap(cls, name):
    """Replace cls.name by f(original, self, ...)."""
    def deco(f):
        orig = getattr(cls, name, None)
        setattr(cls, name, lambda self, *a, **k: f(orig, self, *a, **k))
        return f
    return deco


@wrap(TGW, "__init__")  # no default table when its option is disabled
def _(orig, self, *a, **k):
    orig(self, *a, **k)
    for option, table in (("DefaultRouteTableAssociation", "AssociationDefaultRouteTableId"),
                          ("DefaultRouteTablePropagation", "PropagationDefaultRouteTableId")):
        if self.options.get(option) == "disable":
            self.options.pop(table, None)


@wrap(TAB, "delete_transit_gateway_vpc_attachment")  # stays listed as deleted
def _(orig, self, transit_gateway_attachment_id):
    a = orig(self, transit_gateway_attachment_id)
    a.state = "deleted"
    self.transit_gateway_attachments[transit_gateway_attachment_id] = a
    return a


Queue.BASE_ATTRIBUTES.append("RedriveAllowPolicy")
Queue.redrive_allow_policy = None
_attributes = Queue.attributes.fget


def attributes(self):
    r = _attributes(self)
    if not r.get("RedriveAllowPolicy"):
        r.pop("RedriveAllowPolicy", None)
    if r.get("RedrivePolicy"):
        r["RedrivePolicy"] = json.dumps(json.loads(r["RedrivePolicy"]), separators=(",", ":"))
    return r


Queue.attributes = property(attributes)


@wrap(Queue, "_set_attributes")  # another attribute's change must not take the policy away
def _(orig, self, attributes, now=None):
    before = getattr(self, "policy", None)
    orig(self, attributes, now)
    if before and "Policy" not in attributes:
        self.policy = before


@wrap(SQSResponse, "_get_queue_name")  # enforcement must find the queue of GetQueueUrl too, which names it without a URL
def _(orig, self):
    return orig(self) if self._get_param("QueueUrl") else self._get_param("QueueName") or orig(self)


@wrap(FakeKafkaCluster, "__init__")  # a cluster is never done otherwise
def _(orig, self, *a, **k):
    orig(self, *a, **k)
    self.state = "ACTIVE"


configurations, scram = {}, {}


def kafka_arn(self, before):
    """The ARN in the path, up to what follows it."""
    return unquote(self.parsed_url.path).split(before, 1)[1]


def get_bootstrap_brokers(self):
    return json.dumps({"bootstrapBrokerStringSaslScram": "b-1.kafka.example.com:9096,b-2.kafka.example.com:9096"})


def create_configuration(self):
    name = self._get_param("name")
    arn = f"arn:aws:kafka:{self.region}:{self.current_account}:configuration/{name}/1"
    configurations[arn] = {
        "arn": arn, "name": name, "state": "ACTIVE", "creationTime": "2026-01-01T00:00:00Z", "description": "",
        "kafkaVersions": self._get_param("kafkaVersions"),
        "latestRevision": {"revision": 1, "creationTime": "2026-01-01T00:00:00Z", "description": ""},
        "serverProperties": self._get_param("serverProperties"),
    }
    return json.dumps(configurations[arn])


def describe_configuration(self):
    found = configurations.get(kafka_arn(self, "/v1/configurations/"))
    if found is None:
        raise BadRequestException("Configuration ARN does not exist")
    return json.dumps(found)


def describe_configuration_revision(self):
    arn, revision = kafka_arn(self, "/v1/configurations/").split("/revisions/")
    found = configurations[arn]
    return json.dumps({"arn": arn, "revision": int(revision), "creationTime": found["creationTime"], "description": "",
                       "serverProperties": found["serverProperties"]})


def delete_configuration(self):
    arn = kafka_arn(self, "/v1/configurations/")
    configurations.pop(arn, None)
    return json.dumps({"arn": arn, "state": "DELETING"})


def scram_cluster(self):
    return kafka_arn(self, "/v1/clusters/").removesuffix("/scram-secrets")


def batch_associate_scram_secret(self):
    scram.setdefault(scram_cluster(self), set()).update(self._get_param("secretArnList"))
    return json.dumps({"clusterArn": scram_cluster(self), "unprocessedScramSecrets": []})


def batch_disassociate_scram_secret(self):
    scram.setdefault(scram_cluster(self), set()).difference_update(self._get_param("secretArnList"))
    return json.dumps({"clusterArn": scram_cluster(self), "unprocessedScramSecrets": []})


def list_scram_secrets(self):
    return json.dumps({"secretArnList": sorted(scram.get(scram_cluster(self), []))})


for call in (get_bootstrap_brokers, create_configuration, describe_configuration, describe_configuration_revision, delete_configuration,
             batch_associate_scram_secret, batch_disassociate_scram_secret, list_scram_secrets):
    setattr(KafkaResponse, call.__name__, call)
kafka_urls.url_paths.update({
    "{0}/v1/configurations$": KafkaResponse.dispatch,
    "{0}/v1/configurations/(?P<arn>.+)$": KafkaResponse.dispatch,
})


@wrap(KafkaBackend, "describe_cluster_v2")  # an unknown cluster is an answer, not a crash
def _(orig, self, cluster_arn):
    if cluster_arn not in self.clusters:
        raise NotFoundException("the cluster does not exist")
    found = orig(self, cluster_arn)
    found.pop("activeOperationArn")
    return found


@wrap(KafkaBackend, "describe_cluster")
def _(orig, self, cluster_arn):
    if cluster_arn not in self.clusters:
        raise NotFoundException("the cluster does not exist")
    found = orig(self, cluster_arn)
    found.pop("activeOperationArn", None)
    return found


composite = {}
FIELDS = ("AlarmName", "AlarmRule", "AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions",
          "InsufficientDataActions")


def put_composite_alarm(self):
    d = {k: v for k in FIELDS if (v := self._get_param(k)) is not None}
    d["AlarmArn"] = f"arn:aws:cloudwatch:{self.region}:{self.current_account}:alarm:{d['AlarmName']}"
    d["StateValue"] = "OK"
    composite[d["AlarmName"]] = d
    if tags := self._get_param("Tags", []):
        self.cloudwatch_backend.tagger.tag_resource(d["AlarmArn"], tags)
    return ActionResult({})


CW.put_composite_alarm = put_composite_alarm


@wrap(CW, "describe_alarms")
def _(orig, self):
    if "CompositeAlarm" in (self._get_param("AlarmTypes", []) or []):
        names = self._get_param("AlarmNames", [])
        return ActionResult({"MetricAlarms": [],
                             "CompositeAlarms": [v for k, v in composite.items() if not names or k in names]})
    return orig(self)


@wrap(CW, "delete_alarms")
def _(orig, self):
    names = self._get_param("AlarmNames", [])
    hit = [n for n in names if composite.pop(n, None)]
    return ActionResult({}) if hit and len(hit) == len(names) else orig(self)


AAS.list_tags_for_resource = lambda self: json.dumps({"Tags": {}})
AAS.tag_resource = AAS.untag_resource = lambda self: json.dumps({})


@wrap(Route53, "_get_bool_param")  # a zone made with a VPC is private
def _(orig, self, name, default=False):
    if name == "HostedZoneConfig.PrivateZone" and self._get_param("VPC.VPCId"):
        return True
    return orig(self, name, default)


one_change = threading.Lock()


@wrap(Route53Backend, "change_resource_record_sets")  # lists are read and written anew: of two changes at once, one was lost
def _(orig, self, *a, **k):
    with one_change:
        return orig(self, *a, **k)


@wrap(RRB, "_matched_arn")
def _(orig, self, arn):
    return None if "resolver-query-log-config" in arn else orig(self, arn)


def delete_resolver_query_log_config(self):
    i = self._get_param("ResolverQueryLogConfigId")
    self.route53resolver_backend.resolver_query_log_configs.pop(i)
    return json.dumps({"ResolverQueryLogConfig": {"Id": i, "Status": "DELETING"}})


RRR.delete_resolver_query_log_config = delete_resolver_query_log_config

server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print("ready", flush=True)
done = threading.Event()
for s in (signal.SIGTERM, signal.SIGINT):
    signal.signal(s, lambda *_: done.set())
done.wait()
server.stop()
