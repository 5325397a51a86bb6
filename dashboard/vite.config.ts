/// <reference types="vitest/config" />
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where `npm run dev` finds an appliance. */
const appliance = process.env["MILLRACE_API"] ?? "http://127.0.0.1:8080";

/**
 * hdr-histogram-js looks for Node's zlib by `eval` before it takes its own inflate. The policy forbids that, and there is no
 * zlib in a browser.
 */
const withoutEval = {
  name: "without-eval",
  enforce: "pre" as const,
  transform(code: string, id: string) {
    if (!id.includes("hdr-histogram-js")) return null;
    return { code: code.replaceAll(/eval\('require\("zlib"\)\.\w+'\)/g, "null.zlib"), map: null };
  },
};

export default defineConfig({
  plugins: [withoutEval, react()],
  // The server puts a fresh nonce in place of this word, in every answer.
  html: { cspNonce: "MILLRACE_NONCE" },
  build: {
    target: "es2022",
    assetsDir: "assets",
    emptyOutDir: false,
    // Everything stays a file of its own: the policy allows no data: URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/api": { target: appliance, changeOrigin: true } } },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"], restoreMocks: true, css: false },
});
