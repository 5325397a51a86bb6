// Fails when the first load has grown beyond its budget, or a chunk that is loaded later is larger than it may be.
import { readFileSync, readdirSync } from "node:fs";

const root = new URL("../dist/", import.meta.url).pathname;
const FIRST_LOAD_KB = 250;
const CHUNK_KB = 80;

const kb = (path) => readFileSync(`${root}${path}.gz`).length / 1_000;
const sizeOf = (path) => { try { return kb(path); } catch { return readFileSync(root + path).length / 1_000; } };
const imports = (path) => [...readFileSync(root + path, "utf8").matchAll(/from\s*"\.\/([\w.-]+\.js)"|import\s*"\.\/([\w.-]+\.js)"/g)].map((found) => `assets/${found[1] ?? found[2]}`);

const page = readFileSync(`${root}index.html`, "utf8");
const first = new Set();
const add = (path) => { if (!first.has(path)) { first.add(path); imports(path).forEach(add); } };
for (const found of page.matchAll(/(?:src|href)="\/(assets\/[\w.-]+\.js)"/g)) add(found[1]);
// The first screen is a part of the first load.
readdirSync(`${root}assets`).filter((name) => /^Overview-.*\.js$/.test(name)).forEach((name) => add(`assets/${name}`));
const total = [...first].reduce((sum, path) => sum + sizeOf(path), 0);
console.log(`first load: ${total.toFixed(1)} KB gzip of JavaScript in ${first.size} files, of ${FIRST_LOAD_KB} that it may have`);
const large = readdirSync(`${root}assets`).filter((name) => name.endsWith(".js") && !first.has(`assets/${name}`) && sizeOf(`assets/${name}`) > CHUNK_KB);
for (const name of large) console.error(`${name}: ${sizeOf(`assets/${name}`).toFixed(1)} KB gzip; a chunk has at most ${CHUNK_KB}`);
if (total > FIRST_LOAD_KB || large.length > 0) process.exit(1);
