/** The one client of the API, over types that are generated from its document: `npm run generate`. */

import createClient from "openapi-fetch";

import { ApiProblem, asProblem, problemFrom, unreachable } from "./problem";
import type { components, paths } from "./schema";
import { authorization, refused } from "./session";

/** A body of the API, by its name. */
export type Body<Name extends keyof components["schemas"]> = components["schemas"][Name];

/** A drain is answered after 20 s at the latest, and the server gives up after 30. */
const TIMEOUT_MS = 35_000;

function headersFor(request: Request): Headers {
  const headers = new Headers(request.headers);
  const header = authorization();
  if (header !== null) headers.set("authorization", header);
  return headers;
}

/** Sends with a token; a token that is refused is renewed once. */
async function send(request: Request): Promise<Response> {
  const { method, url, signal } = request;
  const changes = method !== "GET";
  // Whole, so that it has a length: the server takes no chunks.
  const text = changes ? await request.text() : "";
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const once = async () => {
    const headers = headersFor(request);
    // A change that is sent twice happens once.
    if (changes) headers.set("idempotency-key", key);
    const init: RequestInit = { method, headers, signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) };
    if (text !== "") init.body = text;
    try {
      return await fetch(url, init);
    } catch (error) {
      if (signal.aborted) throw error;
      throw unreachable(error);
    }
  };
  const response = await once();
  return response.status === 401 && (await refused()) ? once() : response;
}

export const client = createClient<paths>({ baseUrl: location.origin, fetch: send });

interface Answer<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

/** The body of an answer; an error is thrown as a problem. */
export async function body<T>(answer: Promise<Answer<T>>): Promise<T> {
  return (await whole(answer)).data;
}

/** The body with the answer's headers. */
export async function whole<T>(answer: Promise<Answer<T>>): Promise<{ data: T; response: Response }> {
  const { data, error, response } = await answer.catch((thrown: unknown) => { throw asProblem(thrown); });
  if (!response.ok || error !== undefined) throw problemFrom(response, error);
  return { data: data as T, response };
}

/** Opens a stream of events. */
export async function openStream(path: string, init: RequestInit): Promise<ReadableStream<Uint8Array>> {
  const once = () => {
    const headers = new Headers(init.headers);
    headers.set("authorization", authorization() ?? "");
    headers.set("accept", "text/event-stream");
    return fetch(path, { ...init, headers }).catch((error: unknown) => { throw unreachable(error); });
  };
  let response = await once();
  if (response.status === 401 && await refused()) response = await once();
  if (!response.ok) throw problemFrom(response, await response.json().catch(() => null));
  if (response.body === null) throw new ApiProblem({ code: "dashboard", status: -1, title: "No stream", detail: path });
  return response.body;
}
