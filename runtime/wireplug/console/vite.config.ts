import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

// The parts of others that the page contains, whose licences ask for their notices to be kept.
const PARTS = ["preact", "uplot"];

function notices(): string {
  const texts = PARTS.map((part) => `${part}:\n${readFileSync(`node_modules/${part}/LICENSE`, "utf8").trim()}`);
  return `/*!\nThis file contains:\n\n${texts.join("\n\n")}\n*/\n`;
}

// One file of each kind with a fixed name, because the server embeds them by name. The server's
// answers carry a tag of the content, so that no browser shows an old one.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "console.js",
        assetFileNames: "console[extname]",
        codeSplitting: false,
        postBanner: notices(),
      },
    },
  },
});
