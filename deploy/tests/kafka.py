"""A real Apache Kafka on loopback for a check, from the jars that `tests/install.sh test` fetches."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from layers import Failed, Skip, call

ROOT = Path(__file__).resolve().parents[2]
LIBS = Path(os.environ.get("KAFKA_LIBS", ROOT / "target" / "kafka" / "libs"))

# Seconds on an idle machine, a minute and more beside four emulators on two cores.
START_SECONDS = 120

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=2097152
auto.create.topics.enable=false
"""


class Kafka:
    """One broker with the topics of a check."""

    def __init__(self, folder, topics):
        self.folder, self.topics = Path(folder), topics
        self.port, self.process = None, None

    def __enter__(self):
        if not any(LIBS.glob("kafka_2.13-*.jar")) or shutil.which("java") is None:
            raise Skip(f"no Kafka in {LIBS}: run `make setup-test`")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port, controller = free_port(), free_port()
        settings = self.folder / "server.properties"
        settings.write_text(PROPERTIES.format(port=self.port, controller=controller, folder=self.folder), encoding="utf-8")
        path = f"{LIBS}/*"
        identity = call("java", "-cp", path, "kafka.tools.StorageTool", "random-uuid").split()[-1]
        call("java", "-cp", path, "kafka.tools.StorageTool", "format", "-t", identity, "-c", settings)
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["java", "-Xms128m", "-Xmx512m", "-cp", path, "kafka.Kafka", str(settings)], stdout=log, stderr=log)
        self.make_topics()
        return self

    def make_topics(self):
        """Waits for the broker by making the topics."""
        until = time.monotonic() + START_SECONDS
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        while True:
            try:
                futures = admin.create_topics([NewTopic(topic, 2, 1) for topic in self.topics], operation_timeout=5, request_timeout=5)
                for future in futures.values():
                    future.result()
                return
            except Exception as error:
                if "ALREADY_EXISTS" in str(error):
                    return
                if time.monotonic() > until or self.process.poll() is not None:
                    self.__exit__()
                    raise Failed(f"Kafka did not start: {error}; {(self.folder / 'log').read_text()[-1500:]}") from error
                time.sleep(0.5)

    @property
    def brokers(self):
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def read(self, topic, count, seconds=60):
        """Bodies of a topic from its beginning, until there are that many or the time is over."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "check", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(2)])
        bodies, until = [], time.monotonic() + seconds
        while len(bodies) < count and time.monotonic() < until:
            record = consumer.poll(0.5)
            if record is not None and record.error() is None:
                bodies.append(record.value().decode())
        consumer.close()
        return bodies

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
