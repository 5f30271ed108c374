import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { compress } from "./compress.ts";

// `npx vite` while working on the page: BARTIZAN_URL and BARTIZAN_TOKEN name a running server.
const server = process.env["BARTIZAN_URL"] ?? "https://127.0.0.1:8443";
const token = process.env["BARTIZAN_TOKEN"];

export default defineConfig({
  plugins: [svelte(), compress()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: true,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        // What the explorer needs is one file, so that the first load is few requests; pages add their own.
        advancedChunks: { groups: [{ name: "app", test: /\/src\/(lib|explore|shell|main|App|app)[./]|\/node_modules\/(svelte|uplot|esm-env|clsx)\// }] },
      },
    },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": { target: server, secure: false, ...(token && { headers: { authorization: `Bearer ${token}` } }) },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
