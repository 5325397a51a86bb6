import { describe, expect, it } from "vitest";

import { EventParser, EVENT_CHARS_MAX, readEvents, type ServerEvent } from "./sse";

const STREAM = "\uFEFF: hello\r\nid: 7-1\r\nevent: shards\r\ndata: {\"a\":1}\r\n\r\ndata: one\ndata: two\n\nevent: quiet\n\nid: 7-2\ndata:no space\rdata:  two spaces\r\r";
const EVENTS: ServerEvent[] = [
  { event: "shards", data: "{\"a\":1}", id: "7-1" },
  { event: "message", data: "one\ntwo", id: "7-1" },
  { event: "message", data: "no space\n two spaces", id: "7-2" },
];

/** The stream ends with a CR, of which a LF might follow: another letter settles it. */
const settled = `${STREAM}:`;

describe("server-sent events", () => {
  it("come out the same however the stream is cut", () => {
    for (let cut = 0; cut <= settled.length; cut += 1) {
      for (let second = cut; second <= settled.length; second += 7) {
        const parser = new EventParser();
        const found = [settled.slice(0, cut), settled.slice(cut, second), settled.slice(second)].flatMap((piece) => parser.feed(piece));
        expect(found, `cut at ${cut} and ${second}`).toEqual(EVENTS);
        expect(parser.lastEventId).toBe("7-2");
      }
    }
  });

  it("come out the same letter by letter", () => {
    const parser = new EventParser();
    expect(Array.from(settled).flatMap((letter) => parser.feed(letter))).toEqual(EVENTS);
  });

  it("are put together from bytes cut within a letter", async () => {
    const bytes = new TextEncoder().encode("data: µs €\n\n");
    const pieces = [...bytes].map((byte) => new Uint8Array([byte]));
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = pieces.shift();
        if (piece) controller.enqueue(piece); else controller.close();
      },
    });
    const found: string[] = [];
    let alive = 0;
    await readEvents(stream, (event) => found.push(event.data), () => { alive += 1; });
    expect(found).toEqual(["µs €"]);
    expect(alive).toBe(bytes.length);
  });

  it("that never end are refused instead of kept", () => {
    const parser = new EventParser();
    const piece = "x".repeat(EVENT_CHARS_MAX / 4);
    parser.feed("data: ");
    expect(() => { for (let count = 0; count < 5; count += 1) parser.feed(piece); }).toThrow(/longer than/);
  });
});
