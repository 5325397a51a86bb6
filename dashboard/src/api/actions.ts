/** What pages change. Each function is one change of the API; what it makes stale is read again. */

import { useMutation } from "@tanstack/react-query";

import { body, client, openStream, whole, type Body } from "./client";
import { queryClient } from "./queries";
import { readEvents } from "./sse";
import { ApiProblem, isRecord } from "./problem";

/** A change with what it makes stale. */
export function useChange<Input, Output>(change: (input: Input) => Promise<Output>, stale: readonly string[] = []) {
  return useMutation<Output, ApiProblem, Input>({
    mutationFn: change,
    onSettled: () => Promise.all(stale.map((key) => queryClient.invalidateQueries({ queryKey: [key] }))),
  });
}

export type Verb = "pause" | "resume" | "drain" | "start" | "stop";

/** Data planes that are told; all that answer when it is null. */
const to = (instance: string | null) => (instance === null ? {} : { instance });

export function steer({ name, verb, instance }: { name: string; verb: Verb; instance: string | null }) {
  const params = { params: { path: { name }, query: to(instance) } };
  switch (verb) {
    case "pause": return body(client.POST("/api/v1/pipelines/{name}/pause", params));
    case "resume": return body(client.POST("/api/v1/pipelines/{name}/resume", params));
    case "drain": return body(client.POST("/api/v1/pipelines/{name}/drain", params));
    case "start": return body(client.POST("/api/v1/pipelines/{name}/start", params));
    case "stop": return body(client.POST("/api/v1/pipelines/{name}/stop", params));
  }
}

export const setRate = ({ name, limits, instance }: { name: string; limits: Body<"Limits">; instance: string | null }) =>
  body(client.PUT("/api/v1/pipelines/{name}/rate", { params: { path: { name }, query: to(instance) }, body: limits }));

export const drainInstance = (name: string) =>
  body(client.POST("/api/v1/instances/{name}/drain", { params: { path: { name } }, body: { confirm: name } }));

export const saveBaseline = (baseline: Body<"NewBaseline">) => body(client.POST("/api/v1/latency/baselines", { body: baseline }));

export const deleteBaseline = (name: string) =>
  body(client.DELETE("/api/v1/latency/baselines/{name}", { params: { path: { name } } }));

export const acknowledge = (taken: Body<"TakenOn">) => body(client.POST("/api/v1/alerts/acknowledge", { body: taken }));

export const silence = (made: Body<"NewSilence">) => body(client.POST("/api/v1/alerts/silences", { body: made }));

export const endSilence = (id: number) => body(client.DELETE("/api/v1/alerts/silences/{id}", { params: { path: { id } } }));

export const testRule = (name: string) => body(client.POST("/api/v1/alerts/rules/{name}/test", { params: { path: { name } } }));

export function putRule({ rule, version }: { rule: Body<"Rule">; version: number | null }) {
  const header = version === null ? {} : { header: { "If-Match": `"${version}"` } };
  return body(client.PUT("/api/v1/alerts/rules/{name}", { params: { path: { name: rule.name }, ...header }, body: rule }));
}

export const deleteRule = (name: string) => body(client.DELETE("/api/v1/alerts/rules/{name}", { params: { path: { name } } }));

const cluster = (pipeline: string | null) => (pipeline === null ? {} : { pipeline });

export const createTopic = (wanted: { topic: Body<"NewTopic">; pipeline: string | null; dryRun: boolean }) =>
  body(client.POST("/api/v1/topics", { params: { query: { ...cluster(wanted.pipeline), dry_run: wanted.dryRun } }, body: wanted.topic }));

export const alterTopic = (wanted: { topic: string; pipeline: string | null; configs: Record<string, string | null>; dryRun: boolean }) =>
  body(client.PATCH("/api/v1/topics/{topic}/configs", {
    params: { path: { topic: wanted.topic }, query: { ...cluster(wanted.pipeline), dry_run: wanted.dryRun } },
    body: { configs: wanted.configs },
  }));

export const addPartitions = (wanted: { topic: string; pipeline: string | null; partitions: number; confirm: string; dryRun: boolean }) =>
  body(client.POST("/api/v1/topics/{topic}/partitions", {
    params: { path: { topic: wanted.topic }, query: { ...cluster(wanted.pipeline), dry_run: wanted.dryRun } },
    body: { partitions: wanted.partitions, confirm: wanted.confirm },
  }));

export const deleteTopic = (wanted: { topic: string; pipeline: string | null; confirm: string }) =>
  body(client.DELETE("/api/v1/topics/{topic}", { params: { path: { topic: wanted.topic }, query: { ...cluster(wanted.pipeline), confirm: wanted.confirm } } }));

export const uncover = (record: { pipeline: string; partition: number; offset: number }) =>
  body(client.POST("/api/v1/pipelines/{name}/rejected/{partition}/{offset}/uncover", {
    params: { path: { name: record.pipeline, partition: record.partition, offset: record.offset } },
  }));

export const validateConfig = (toml: string) => body(client.POST("/api/v1/config/validate", { body: { toml } }));

export const diffConfig = (toml: string) => body(client.POST("/api/v1/config/diff", { body: { toml } }));

export async function applyConfig(wanted: { toml: string; comment: string; etag: string }) {
  const { data } = await whole(client.PUT("/api/v1/config", {
    params: { header: { "If-Match": wanted.etag } }, body: { toml: wanted.toml, comment: wanted.comment },
  }));
  return data;
}

export const addPipeline = (wanted: { toml: string; comment: string; etag: string }) =>
  body(client.POST("/api/v1/pipelines", { params: { header: { "If-Match": wanted.etag } }, body: { toml: wanted.toml, comment: wanted.comment } }));

export const removePipeline = ({ name, etag }: { name: string; etag: string }) =>
  body(client.DELETE("/api/v1/pipelines/{name}", { params: { path: { name }, query: { confirm: name }, header: { "If-Match": etag } } }));

export const rollbackConfig = (wanted: { version: number; comment: string; etag: string }) =>
  body(client.POST("/api/v1/config/versions/{version}/rollback", {
    params: { path: { version: wanted.version }, header: { "If-Match": wanted.etag } }, body: { comment: wanted.comment },
  }));

export const takeBackup = () => body(client.POST("/api/v1/backups"));

export const restoreBackup = ({ name, dryRun }: { name: string; dryRun: boolean }) =>
  body(client.POST("/api/v1/backups/{name}/restore", { params: { path: { name }, query: { dry_run: dryRun } } }));

export const addUser = (user: Body<"NewUser">) => body(client.POST("/api/v1/users", { body: user }));

export const changeUser = ({ name, patch }: { name: string; patch: Body<"UserPatch"> }) =>
  body(client.PATCH("/api/v1/users/{name}", { params: { path: { name } }, body: patch }));

export const removeUser = (name: string) => body(client.DELETE("/api/v1/users/{name}", { params: { path: { name } } }));

export const addKey = (key: Body<"NewKey">) => body(client.POST("/api/v1/keys", { body: key }));

export const revokeKey = (id: string) => body(client.DELETE("/api/v1/keys/{id}", { params: { path: { id } } }));

export const endSession = ({ id, mine }: { id: string; mine: boolean }) => mine
  ? body(client.DELETE("/api/v1/me/sessions/{id}", { params: { path: { id } } }))
  : body(client.DELETE("/api/v1/sessions/{id}", { params: { path: { id } } }));

export const changePassword = (passwords: Body<"NewPassword">) => body(client.POST("/api/v1/me/password", { body: passwords }));

/** Samples records as they come, until the sample is full, its time is up, or it is told to stop. */
export async function sample(
  pipeline: string, wanted: Body<"SampleWanted">, take: (record: Body<"RecordView">) => void, signal: AbortSignal,
): Promise<void> {
  const stream = await openStream(`/api/v1/pipelines/${encodeURIComponent(pipeline)}/sample`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wanted), signal,
  });
  const troubles: string[] = [];
  await readEvents(stream, (event) => {
    const content: unknown = JSON.parse(event.data);
    if (event.event === "record") take(content as Body<"RecordView">);
    if (event.event === "end" && isRecord(content) && typeof content["trouble"] === "string") troubles.push(content["trouble"]);
  }, () => undefined);
  if (troubles.length > 0) {
    throw new ApiProblem({ code: "upstream", status: 502, title: "The sample ended early", detail: troubles.join("; ") });
  }
}
