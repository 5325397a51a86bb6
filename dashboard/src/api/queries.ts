/** What pages read, each with how long it is worth keeping. Only this folder fetches. */

import { QueryClient, keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";

import { body, client, whole } from "./client";
import { ApiProblem } from "./problem";

declare module "@tanstack/react-query" {
  interface Register { defaultError: ApiProblem }
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5 * SECOND,
      // A refusal stays one; what is passing is tried again.
      retry: (failures, error) => error.isPassing && failures < 2,
      retryDelay: (attempt, error) => (error instanceof ApiProblem ? error.retryAfterS ?? 2 ** attempt : 1) * SECOND,
      refetchOnWindowFocus: false,
    },
  },
});

const page = (cursor: string | undefined, limit: number) => ({ limit, ...(cursor === undefined ? {} : { cursor }) });
const of = (pipeline: string | null) => (pipeline === null ? {} : { pipeline });

export interface Window {
  readonly pipeline: string | null;
  readonly windowS: number;
  /** End of the window; now when it is null. */
  readonly toMs: number | null;
}

const windowQuery = (window: Window) => ({
  ...of(window.pipeline), window_s: window.windowS, ...(window.toMs === null ? {} : { to_ms: window.toMs }),
});

export function useCurves(window: Window, paused: boolean) {
  return useQuery({
    queryKey: ["curves", window],
    queryFn: ({ signal }) => body(client.GET("/api/v1/latency/curve", { params: { query: { ...windowQuery(window), ticks: 10 } }, signal })),
    refetchInterval: paused || window.toMs !== null ? false : SECOND,
    placeholderData: keepPreviousData,
  });
}

/** The whole of one stage, for export. */
export function fetchHgrm(window: Window, stage: string) {
  return body(client.GET("/api/v1/latency/hgrm", { params: { query: { ...windowQuery(window), stage } }, parseAs: "text" }));
}

/** Histograms in V2 encoding by stage, for export. */
export function fetchHistograms(window: Window) {
  return body(client.GET("/api/v1/latency/curve", { params: { query: { ...windowQuery(window), histograms: true, ticks: 1 } } }));
}

/** The strip's latencies: all pipelines, or one, over the last minute. */
export function useMinute(pipeline: string | null) {
  return useQuery({
    queryKey: ["minute", pipeline],
    queryFn: ({ signal }) => body(client.GET("/api/v1/latency/curve", { params: { query: { ...of(pipeline), window_s: 60, ticks: 1 } }, signal })),
    refetchInterval: 2 * SECOND,
    placeholderData: keepPreviousData,
  });
}

export function useBaselines() {
  return useQuery({ queryKey: ["baselines"], queryFn: ({ signal }) => body(client.GET("/api/v1/latency/baselines", { signal })) });
}

export function useComparison(baseline: string | null, windowS: number, toMs: number | null, paused: boolean) {
  return useQuery({
    queryKey: ["comparison", baseline, windowS, toMs],
    enabled: baseline !== null,
    queryFn: ({ signal }) => body(client.GET("/api/v1/latency/compare", {
      params: { query: { baseline: baseline ?? "", window_s: windowS, ...(toMs === null ? {} : { to_ms: toMs }) } }, signal,
    })),
    refetchInterval: paused || toMs !== null ? false : 2 * SECOND,
    placeholderData: keepPreviousData,
  });
}

export function useTypes(pipeline: string | null, instance: string | null) {
  return useQuery({
    queryKey: ["types", pipeline, instance],
    queryFn: ({ signal }) => body(client.GET("/api/v1/types", { params: { query: { ...of(pipeline), ...(instance === null ? {} : { instance }) } }, signal })),
    refetchInterval: 2 * SECOND,
  });
}

export function useQueue(pipeline: string) {
  return useQuery({
    queryKey: ["queue", pipeline],
    enabled: pipeline !== "",
    queryFn: ({ signal }) => body(client.GET("/api/v1/pipelines/{name}/queue", { params: { path: { name: pipeline } }, signal })),
    // SQS is asked at most every 15 s in any case.
    refetchInterval: 5 * SECOND,
  });
}

export function useCost() {
  return useQuery({ queryKey: ["cost"], queryFn: ({ signal }) => body(client.GET("/api/v1/cost", { signal })), refetchInterval: 5 * SECOND });
}

export function useSystem() {
  return useQuery({ queryKey: ["system"], queryFn: ({ signal }) => body(client.GET("/api/v1/system", { signal })), refetchInterval: 5 * SECOND });
}

export function useRate(pipeline: string) {
  return useQuery({
    queryKey: ["rate", pipeline],
    queryFn: ({ signal }) => body(client.GET("/api/v1/pipelines/{name}/rate", { params: { path: { name: pipeline } }, signal })),
  });
}

export function useRejected(pipeline: string, code: string) {
  return useInfiniteQuery({
    queryKey: ["rejected", pipeline, code],
    enabled: pipeline !== "",
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => body(client.GET("/api/v1/pipelines/{name}/rejected", {
      params: { path: { name: pipeline }, query: { ...page(pageParam, 50), ...(code === "" ? {} : { code }) } }, signal,
    })),
    getNextPageParam: (last) => last.next ?? undefined,
  });
}

export function useAlerts() {
  return useQuery({ queryKey: ["alerts"], queryFn: ({ signal }) => body(client.GET("/api/v1/alerts", { signal })), refetchInterval: 2 * SECOND });
}

export function useAlertRules() {
  return useQuery({ queryKey: ["alert-rules"], queryFn: ({ signal }) => body(client.GET("/api/v1/alerts/rules", { signal })) });
}

export function useSilences() {
  return useQuery({ queryKey: ["silences"], queryFn: ({ signal }) => body(client.GET("/api/v1/alerts/silences", { signal })) });
}

export function useReceivers() {
  return useQuery({ queryKey: ["receivers"], queryFn: ({ signal }) => body(client.GET("/api/v1/alerts/receivers", { signal })), refetchInterval: 10 * SECOND });
}

export function useAlertEvents() {
  return useInfiniteQuery({
    queryKey: ["alert-events"],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => body(client.GET("/api/v1/alerts/events", { params: { query: page(pageParam, 30) }, signal })),
    getNextPageParam: (last) => last.next ?? undefined,
  });
}

export function useTopics(pipeline: string | null, internal: boolean) {
  return useInfiniteQuery({
    queryKey: ["topics", pipeline, internal],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => body(client.GET("/api/v1/topics", { params: { query: { ...of(pipeline), internal, ...page(pageParam, 100) } }, signal })),
    getNextPageParam: (last) => last.next ?? undefined,
    staleTime: 15 * SECOND,
  });
}

export function useTopic(topic: string | null, pipeline: string | null) {
  return useQuery({
    queryKey: ["topic", topic, pipeline],
    enabled: topic !== null,
    queryFn: ({ signal }) => body(client.GET("/api/v1/topics/{topic}", { params: { path: { topic: topic ?? "" }, query: of(pipeline) }, signal })),
    refetchInterval: 10 * SECOND,
  });
}

export function useGroups(pipeline: string | null) {
  return useQuery({
    queryKey: ["groups", pipeline],
    queryFn: ({ signal }) => body(client.GET("/api/v1/groups", { params: { query: { ...of(pipeline), limit: 100 } }, signal })),
    staleTime: 15 * SECOND,
  });
}

export function useGroup(group: string | null, pipeline: string | null) {
  return useQuery({
    queryKey: ["group", group, pipeline],
    enabled: group !== null,
    queryFn: ({ signal }) => body(client.GET("/api/v1/groups/{group}", { params: { path: { group: group ?? "" }, query: of(pipeline) }, signal })),
    refetchInterval: 10 * SECOND,
  });
}

/** The configuration in force and its version. */
export function useConfig() {
  return useQuery({
    queryKey: ["config"],
    queryFn: async ({ signal }) => {
      const { data, response } = await whole(client.GET("/api/v1/config", { signal }));
      return { ...data, etag: response.headers.get("etag") ?? "" };
    },
    refetchInterval: 30 * SECOND,
  });
}

export function useConfigSchema() {
  return useQuery({ queryKey: ["config-schema"], queryFn: ({ signal }) => body(client.GET("/api/v1/config/schema", { signal })), staleTime: Infinity });
}

export function useVersions() {
  return useInfiniteQuery({
    queryKey: ["versions"],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => body(client.GET("/api/v1/config/versions", { params: { query: page(pageParam, 20) }, signal })),
    getNextPageParam: (last) => last.next ?? undefined,
  });
}

export function useVersion(id: number | null) {
  return useQuery({
    queryKey: ["version", id],
    enabled: id !== null,
    queryFn: ({ signal }) => body(client.GET("/api/v1/config/versions/{version}", { params: { path: { version: id ?? 0 } }, signal })),
    staleTime: Infinity,
  });
}

export function useBackups(enabled: boolean) {
  return useQuery({ queryKey: ["backups"], enabled, queryFn: ({ signal }) => body(client.GET("/api/v1/backups", { signal })) });
}

export function useUsers(enabled: boolean) {
  return useQuery({ queryKey: ["users"], enabled, queryFn: ({ signal }) => body(client.GET("/api/v1/users", { params: { query: { limit: 500 } }, signal })) });
}

export function useKeys(enabled: boolean) {
  return useQuery({ queryKey: ["keys"], enabled, queryFn: ({ signal }) => body(client.GET("/api/v1/keys", { params: { query: { limit: 500 } }, signal })) });
}

export function useSessions(all: boolean) {
  return useQuery({
    queryKey: ["sessions", all],
    queryFn: ({ signal }) => all
      ? body(client.GET("/api/v1/sessions", { params: { query: { limit: 100 } }, signal }))
      : body(client.GET("/api/v1/me/sessions", { params: { query: { limit: 100 } }, signal })),
  });
}

export function useAudit(enabled: boolean, principal: string, operation: string) {
  return useInfiniteQuery({
    queryKey: ["audit", principal, operation],
    enabled,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => body(client.GET("/api/v1/audit", {
      params: { query: { ...page(pageParam, 50), ...(principal === "" ? {} : { principal }), ...(operation === "" ? {} : { operation }) } }, signal,
    })),
    getNextPageParam: (last) => last.next ?? undefined,
  });
}

export function useProblems() {
  return useQuery({ queryKey: ["problems"], queryFn: ({ signal }) => body(client.GET("/api/v1/problems", { signal })), staleTime: 10 * MINUTE });
}
