// What the dashboard looks at while it is tested: `millrace demo`, and `millrace run` with an SQS server and a real Kafka.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = new URL("../../", import.meta.url).pathname;
export const MILLRACE = process.env.MILLRACE ? resolve(root, process.env.MILLRACE) : `${root}target/debug/millrace`;
const SQS = process.env.MILLRACE_SQS ?? `${root}target/debug/millrace-sqs`;
const KAFKA_LIBS = process.env.KAFKA_LIBS ?? `${root}target/kafka/libs`;
const ACCOUNT = "000000000000";
const START_S_MAX = 120;
/** Where nobody listens. Source: RFC 863, and that hosts of today do not run it. */
const DISCARD_PORT = 9;

const running = new Set();

/** Starts a program; its stderr and stdout are kept for whoever asks what went wrong. */
function start(name, command, args, environment = {}) {
  const child = spawn(command, args, { env: { PATH: process.env.PATH, HOME: tmpdir(), ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  const program = { name, child, log: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => { program.log = (program.log + chunk).slice(-200_000); });
  child.on("error", (error) => { program.log += String(error); });
  running.add(program);
  child.on("exit", () => running.delete(program));
  return program;
}

export async function stop(program, signal = "SIGTERM") {
  if (program.child.exitCode !== null || program.child.signalCode !== null) return;
  const ended = new Promise((resolve) => program.child.once("exit", resolve));
  program.child.kill(signal);
  const late = setTimeout(() => program.child.kill("SIGKILL"), 20_000);
  await ended;
  clearTimeout(late);
}

export async function stopAll() {
  await Promise.all([...running].map((program) => stop(program, "SIGKILL")));
}

/** Asks until there is an answer. */
export async function until(what, ask, seconds = 30) {
  const end = Date.now() + seconds * 1_000;
  let last;
  while (Date.now() < end) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) { last = error; }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${what} did not come within ${seconds} s${last ? `: ${last.message}` : ""}`);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An appliance with the token of its first start. */
async function ready(program, portFile, sign = "/readyz") {
  const url = await until(`${program.name}'s port`, () => {
    if (program.child.exitCode !== null) throw new Error(program.log.slice(-2_000));
    return `http://127.0.0.1:${Number(readFileSync(portFile, "utf8")) || (() => { throw new Error("no port yet"); })()}`;
  }, START_S_MAX);
  const token = await until(`${program.name}'s token`, () => /\bmb_[\w-]+/.exec(program.log)?.[0], START_S_MAX);
  await until(`${program.name} to be ready`, async () => (await fetch(`${url}${sign}`)).ok, START_S_MAX);
  return { program, url, token };
}

export async function demo(args = []) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-e2e-"));
  const portFile = join(folder, "port");
  const program = start("demo", MILLRACE, ["demo", "--listen", "127.0.0.1:0", "--port-file", portFile, ...args]);
  const appliance = await ready(program, portFile);
  return { ...appliance, end: async () => { await stop(program, "SIGINT"); rmSync(folder, { recursive: true, force: true }); } };
}

function java(args) {
  return ["-Xms64m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", `${KAFKA_LIBS}/*`, ...args];
}

async function kafka(folder) {
  const [plain, controller] = [await freePort(), await freePort()];
  const file = join(folder, "kafka.properties");
  writeFileSync(file, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controller}
listeners=PLAINTEXT://127.0.0.1:${plain},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=PLAINTEXT://127.0.0.1:${plain}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=${join(folder, "kafka")}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
`);
  const format = start("format", "java", java(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", file]));
  await new Promise((resolve) => format.child.on("exit", resolve));
  if (format.child.exitCode !== 0) throw new Error(`Kafka's storage was not formatted; its jars come with \`make setup-test\`: ${format.log}`);
  const log4j = join(folder, "log4j.properties");
  writeFileSync(log4j, "log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\nlog4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%p %m%n\n");
  const broker = start("kafka", "java", [`-Dlog4j.configuration=file:${log4j}`, ...java(["kafka.Kafka", file])]);
  await until("Kafka", () => broker.log.includes("Kafka Server started"), START_S_MAX);
  return { broker, bootstrap: `127.0.0.1:${plain}` };
}

/** What one that talks to the SQS server needs; the server checks the form of signatures only. */
const KEYS = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "canary-of-a-secret-key", AWS_REGION: "us-east-1", AWS_EC2_METADATA_DISABLED: "true" };

/** Data planes of these names under one control plane. Their broker answers nobody: what they show is what is looked at. */
export async function planes(names) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-e2e-"));
  const [sqsPort, portFile] = [await freePort(), join(folder, "port")];
  const sqs = start("sqs", SQS, ["serve", "--listen", `127.0.0.1:${sqsPort}`, "--queue", "orders"]);
  await until("the queue", async () => (await fetch(`http://127.0.0.1:${sqsPort}/_stats`)).ok);
  const door = (name) => `unix:${join(folder, `${name}.sock`)}`;
  const config = (name, tables) => {
    const file = join(folder, `${name}.toml`);
    writeFileSync(file, `${tables}
[shards]
count = 1
pin = false
[[pipeline]]
name = "orders"
queue = { url = "http://127.0.0.1:${sqsPort}/${ACCOUNT}/orders", region = "us-east-1", wait_time = "1s" }
kafka = { brokers = ["127.0.0.1:${DISCARD_PORT}"] }
route = { topic = "orders" }
`);
    return file;
  };
  const members = new Map(names.map((name) => {
    const file = config(name, `[door]\nlisten = ${JSON.stringify(door(name))}\nname = ${JSON.stringify(name)}`);
    return [name, start(name, MILLRACE, ["dataplane", "--config", file], KEYS)];
  }));
  const attached = names.map((name) => `[[attach]]\naddress = ${JSON.stringify(door(name))}`).join("\n");
  const file = config("control", `[api]\nlisten = "127.0.0.1:0"\nstore = ${JSON.stringify(join(folder, "store"))}\n${attached}`);
  const program = start("controlplane", MILLRACE, ["controlplane", "--config", file, "--port-file", portFile], KEYS);
  const up = await ready(program, portFile, "/livez");
  return {
    ...up, members,
    end: async () => { await Promise.all([program, ...members.values(), sqs].map((one) => stop(one, "SIGKILL"))); rmSync(folder, { recursive: true, force: true }); },
  };
}

/** An appliance between an SQS server and a real Kafka, with a pipeline that takes JSON only. */
export async function appliance() {
  const folder = mkdtempSync(join(tmpdir(), "millrace-e2e-"));
  const sqsPort = await freePort();
  const sqs = start("sqs", SQS, ["serve", "--listen", `127.0.0.1:${sqsPort}`, "--queue", "orders"]);
  const { broker, bootstrap } = await kafka(folder);
  const queue = `http://127.0.0.1:${sqsPort}/${ACCOUNT}/orders`;
  await until("the queue", async () => (await fetch(`http://127.0.0.1:${sqsPort}/_stats`)).ok);
  const [file, portFile] = [join(folder, "millrace.toml"), join(folder, "port")];
  writeFileSync(file, `[api]
listen = "127.0.0.1:0"
store = ${JSON.stringify(join(folder, "store"))}
[shards]
count = 1
pin = false
[drain]
deadline = "10s"

[[pipeline]]
name = "orders"
queue = { url = ${JSON.stringify(queue)}, region = "us-east-1", wait_time = "1s" }
kafka = { brokers = [${JSON.stringify(bootstrap)}], delivery_timeout = "8s" }
route = { topic = "orders" }
dead_letter = { topic = "orders-dead" }
validate = { json = true }
`);
  for (const topic of ["orders", "orders-dead"]) {
    const made = start("topics", "java", java(["org.apache.kafka.tools.TopicCommand", "--bootstrap-server", bootstrap, "--create", "--topic", topic, "--partitions", "4"]));
    await new Promise((resolve) => made.child.on("exit", resolve));
    if (made.child.exitCode !== 0) throw new Error(made.log);
  }
  const program = start("millrace", MILLRACE, ["run", "--config", file, "--port-file", portFile], KEYS);
  const up = await ready(program, portFile);
  return {
    ...up, broker, queue, bootstrap,
    send: (body, attributes = {}) => send(queue, body, attributes),
    end: async () => { await stop(program); await stop(broker, "SIGKILL"); await stop(sqs); rmSync(folder, { recursive: true, force: true }); },
  };
}

/** Sends a message as the AWS SDKs do. Source: SQS, "Making requests with the JSON protocol". */
async function send(queue, body, attributes) {
  const values = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, { DataType: "String", StringValue: value }]));
  const answer = await fetch(new URL("/", queue), {
    method: "POST", headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage" },
    body: JSON.stringify({ QueueUrl: queue, MessageBody: body, MessageAttributes: values }),
  });
  if (!answer.ok) throw new Error(`SendMessage: ${await answer.text()}`);
}
