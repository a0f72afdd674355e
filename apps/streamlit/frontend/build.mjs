// Bundles what the app serves and exported files carry, each into one ES module: src/page.js with Vega, and src/scene.js with three.js for pages
// that have a scene.
import { join } from "node:path";
import { build } from "esbuild";

const out = process.argv[2] ?? "../../../core/strobe/page";
const bundles = { "src/page.js": "board.js", "src/scene.js": "scene.js" };
for (const [entry, file] of Object.entries(bundles)) {
  await build({
    entryPoints: [entry],
    outfile: join(out, file),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "ascii", // the files are also pasted into pages of other encodings
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"' },
  });
}
