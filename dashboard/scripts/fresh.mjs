// Fails when the generated types are not those of controlplane/openapi.json.
import { readFileSync } from "node:fs";

import openapi, { astToString } from "openapi-typescript";

const here = (path) => new URL(path, import.meta.url);
const ast = await openapi(here("../../controlplane/openapi.json"));
const kept = readFileSync(here("../src/api/schema.d.ts"), "utf8");
const body = (text) => text.slice(text.indexOf("export interface paths"));
if (body(astToString(ast)).trim() !== body(kept).trim()) {
  console.error("src/api/schema.d.ts is older than controlplane/openapi.json: npm run generate");
  process.exit(1);
}
