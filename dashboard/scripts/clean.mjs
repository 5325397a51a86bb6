// Empties dist/ but for the file that keeps the folder in the tree.
import { readdirSync, rmSync } from "node:fs";

const root = new URL("../dist/", import.meta.url).pathname;
for (const name of readdirSync(root)) if (name !== ".gitignore") rmSync(root + name, { recursive: true });
