import { defineConfig } from "vite";

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
      },
    },
  },
});
