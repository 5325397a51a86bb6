// Compresses what was built, once, so that the server never has to; and lists it with the hashes of its content.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const root = new URL("../dist/", import.meta.url).pathname;
/** Below this, the headers of a compressed answer cost what it saves. */
const WORTH_BYTES = 512;
const TYPES = { js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml", html: "text/html; charset=utf-8" };

const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.(br|gz|tsv)$|^\./.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
  .sort();
const lines = [];
for (const path of files) {
  const type = TYPES[path.split(".").pop()];
  if (type === undefined) throw new Error(`${path}: scripts/compress.mjs knows no type for it`);
  const content = readFileSync(root + path);
  // The page gets a nonce in every answer, so it is sent as it is.
  const packed = content.length >= WORTH_BYTES && !path.endsWith(".html");
  if (packed) {
    writeFileSync(`${root}${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    writeFileSync(`${root}${path}.gz`, gzipSync(content, { level: 9 }));
  }
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 32);
  lines.push([path, type, hash, packed ? "packed" : "plain"].join("\t"));
}
writeFileSync(`${root}files.tsv`, `${lines.join("\n")}\n`);
console.log(`dashboard: ${files.length} files`);
