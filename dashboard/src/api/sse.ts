/**
 * Server-sent events from a stream of bytes. Pure: text goes in as it comes, events come out.
 *
 * Source: HTML standard, "Interpreting an event stream". The classic bug is a chunk that ends within a line, within a
 * CRLF, or within a letter of several bytes; the last is the decoder's to mend.
 */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

/** Longest event that is kept while it is incomplete. A snapshot of 512 shards is a tenth of it. */
export const EVENT_CHARS_MAX = 4 * 1024 * 1024;

export class EventParser {
  private rest = "";
  private data: string[] = [];
  private event = "";
  private id = "";
  private length = 0;
  private begun = false;

  /** The id of the last event that was whole. */
  get lastEventId(): string {
    return this.id;
  }

  /** Takes a piece of the stream and gives the events that it completes. */
  feed(chunk: string): ServerEvent[] {
    let text = this.rest + chunk;
    if (!this.begun && text.length > 0) {
      this.begun = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    const events: ServerEvent[] = [];
    let from = 0;
    for (;;) {
      const end = text.slice(from).search(/[\r\n]/);
      if (end < 0) break;
      const at = from + end;
      // A CR at the end of the piece may be the first half of a CRLF.
      if (text[at] === "\r" && at + 1 === text.length) break;
      const event = this.line(text.slice(from, at));
      if (event) events.push(event);
      from = text[at] === "\r" && text[at + 1] === "\n" ? at + 2 : at + 1;
    }
    this.rest = text.slice(from);
    if (this.rest.length + this.length > EVENT_CHARS_MAX) {
      throw new Error(`an event of the live stream is longer than ${EVENT_CHARS_MAX} characters`);
    }
    return events;
  }

  private line(line: string): ServerEvent | null {
    if (line === "") return this.dispatch();
    if (line.startsWith(":")) return null;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? "" : line.slice(colon + 1);
    const value = raw.startsWith(" ") ? raw.slice(1) : raw;
    if (field === "data") {
      this.data.push(value);
      this.length += value.length;
    } else if (field === "event") {
      this.event = value;
    } else if (field === "id" && !value.includes("\0")) {
      this.id = value;
    }
    return null;
  }

  private dispatch(): ServerEvent | null {
    const event = this.data.length === 0
      ? null
      : { event: this.event === "" ? "message" : this.event, data: this.data.join("\n"), id: this.id };
    this.data = [];
    this.event = "";
    this.length = 0;
    return event;
  }
}

/** Reads a body to its end, event by event. */
export async function readEvents(
  body: ReadableStream<Uint8Array>, take: (event: ServerEvent) => void, alive: () => void,
): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      for (const event of parser.feed(decoder.decode(value, { stream: true }))) take(event);
    }
  } finally {
    reader.releaseLock();
  }
}
