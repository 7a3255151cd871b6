import fs from "node:fs";

import { defineConfig } from "vitest/config";

// As the builder of extensions takes them.
const texts = {
  name: "texts",
  enforce: "pre",
  load: (id) =>
    /\.(txt|svg)$/.test(id) ? `export default ${JSON.stringify(fs.readFileSync(id, "utf8"))}` : undefined,
};

export default defineConfig({
  plugins: [texts],
  test: { environment: "jsdom", include: ["test/**/*.test.ts"] },
});
