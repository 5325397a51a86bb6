/** Just enough of TOML to point into a text: the server reads it. */

import { isRecord, type FieldFault } from "../api/problem";

interface Place {
  /** Tables that lead to the line. */
  readonly table: readonly string[];
  readonly key: string | null;
}

const HEAD = /^\s*\[\[?\s*([^\]]+?)\s*\]\]?/;
const KEY = /^\s*([A-Za-z0-9_.-]+|"[^"]*")\s*=/;

/** In which table and at which key a line stands; lines count from 1. */
export function placeOf(text: string, line: number): Place {
  const lines = text.split("\n");
  let table: string[] = [];
  for (let index = 0; index < line && index < lines.length; index += 1) {
    const head = HEAD.exec(lines[index] ?? "");
    if (head?.[1] !== undefined) table = head[1].split(".").map((part) => part.trim());
  }
  const key = KEY.exec(lines[line - 1] ?? "")?.[1] ?? null;
  return { table, key };
}

/** The line that a fault speaks of: by its number if the text has one, by its field otherwise. */
export function lineOf(text: string, fault: FieldFault): number {
  const told = /\bline (\d+)/.exec(fault.text)?.[1];
  if (told !== undefined) return Number(told);
  const lines = text.split("\n");
  const parts = fault.field.split(".");
  const key = parts.at(-1) ?? "";
  let best = 1;
  let score = -1;
  lines.forEach((content, index) => {
    const found = KEY.exec(content)?.[1];
    if (found !== key && !(found?.endsWith(`.${key}`) ?? false)) return;
    const { table } = placeOf(text, index + 1);
    // A pipeline is named by its name, which stands in its table.
    const named = parts[0] === "pipeline" && parts[1] !== undefined && nameAbove(lines, index) === parts[1] ? 4 : 0;
    const own = table.filter((part) => parts.includes(part)).length + named;
    if (own > score) { best = index + 1; score = own; }
  });
  return best;
}

function nameAbove(lines: readonly string[], from: number): string | null {
  for (let index = from; index >= 0; index -= 1) {
    const name = /^\s*name\s*=\s*"([^"]*)"/.exec(lines[index] ?? "")?.[1];
    if (name !== undefined) return name;
    if (/^\s*\[\[pipeline\]\]/.test(lines[index] ?? "")) {
      return lines.slice(index).map((line) => /^\s*name\s*=\s*"([^"]*)"/.exec(line)?.[1]).find((one) => one !== undefined) ?? null;
    }
  }
  return null;
}

/** Follows references and single choices of a JSON Schema. */
function resolve(node: unknown, root: Record<string, unknown>, depth = 0): Record<string, unknown> | null {
  if (!isRecord(node) || depth > 8) return null;
  const reference = node["$ref"];
  if (typeof reference === "string") {
    let at: unknown = root;
    for (const part of reference.replace(/^#\//, "").split("/")) at = isRecord(at) ? at[part] : undefined;
    const found = resolve(at, root, depth + 1);
    return found === null ? null : { ...found, ...(typeof node["description"] === "string" ? { description: node["description"] } : {}) };
  }
  for (const kind of ["anyOf", "oneOf", "allOf"]) {
    const choices = node[kind];
    if (!Array.isArray(choices) || isRecord(node["properties"])) continue;
    const found = choices.map((one) => resolve(one, root, depth + 1)).find((one) => one !== null && one["type"] !== "null");
    if (found) return { ...found, ...(typeof node["description"] === "string" ? { description: node["description"] } : {}) };
  }
  return node;
}

/** What the schema says of the key at a line. */
export function hintAt(text: string, line: number, schema: unknown): string | null {
  if (!isRecord(schema)) return null;
  const { table, key } = placeOf(text, line);
  if (key === null) return null;
  let node = resolve(schema, schema);
  for (const part of [...table, ...key.replaceAll('"', "").split(".")]) {
    if (node !== null && isRecord(node["items"])) node = resolve(node["items"], schema);
    const properties = node?.["properties"];
    node = isRecord(properties) ? resolve(properties[part], schema) : null;
    if (node === null) return null;
  }
  const description = node?.["description"];
  return typeof description === "string" ? description.replace(/\s+/g, " ") : null;
}

export interface NewPipeline {
  readonly name: string;
  readonly queue: string;
  readonly brokers: readonly string[];
  readonly topic: string;
}

/** The table of a pipeline with what must be given. A JSON string is a TOML string as well. */
export function pipelineTable({ name, queue, brokers, topic }: NewPipeline): string {
  return [
    "[[pipeline]]", `name = ${JSON.stringify(name)}`, `queue.url = ${JSON.stringify(queue)}`,
    `kafka.brokers = ${JSON.stringify(brokers)}`, `route.topic = ${JSON.stringify(topic)}`, "",
  ].join("\n");
}
