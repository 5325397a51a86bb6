/** Errors of the API, as it tells them (RFC 9457), and those of the way to it. */

export interface FieldFault {
  readonly field: string;
  readonly text: string;
}

/** An answer that is an error, or no answer. */
export class ApiProblem extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly errors: readonly FieldFault[];
  /** Seconds to wait before another try is worth it. */
  readonly retryAfterS: number | null;

  constructor(parts: {
    code: string; status: number; title: string; detail: string;
    errors?: readonly FieldFault[]; retryAfterS?: number | null;
  }) {
    super(parts.detail);
    this.name = "ApiProblem";
    this.code = parts.code;
    this.status = parts.status;
    this.title = parts.title;
    this.errors = parts.errors ?? [];
    this.retryAfterS = parts.retryAfterS ?? null;
  }

  /** Whether the same request may succeed by itself in a moment. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 502 || this.status === 503;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function faults(value: unknown): FieldFault[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).map((one) => ({ field: String(one["field"]), text: String(one["text"]) }));
}

/** Reads an error from an answer's body, whatever it is. */
export function problemFrom(response: Response, body: unknown): ApiProblem {
  const after = Number(response.headers.get("retry-after"));
  const retryAfterS = Number.isFinite(after) && after > 0 ? after : null;
  if (isRecord(body) && typeof body["code"] === "string") {
    return new ApiProblem({
      code: body["code"],
      status: response.status,
      title: typeof body["title"] === "string" ? body["title"] : "The request failed",
      detail: typeof body["detail"] === "string" ? body["detail"] : "",
      errors: faults(body["errors"]),
      retryAfterS,
    });
  }
  return new ApiProblem({
    code: `http_${response.status}`, status: response.status, title: "The request failed",
    detail: `the answer has status ${response.status} and no explanation; a proxy may stand between`, retryAfterS,
  });
}

/** No answer came. */
export function unreachable(cause: unknown): ApiProblem {
  const timedOut = cause instanceof DOMException && cause.name === "TimeoutError";
  return new ApiProblem({
    code: timedOut ? "timeout" : "unreachable", status: 0,
    title: timedOut ? "No answer came in time" : "The appliance cannot be reached",
    detail: timedOut
      ? "the appliance did not answer in time; it goes on moving messages without this screen"
      : "the connection failed; is the process up, and is this its address?",
  });
}

/** Anything that was thrown, as a problem. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiProblem({ code: "dashboard", status: -1, title: "A bug of the dashboard", detail });
}
