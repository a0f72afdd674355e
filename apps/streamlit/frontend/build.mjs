// Bundles src/page.js with Vega into one ES module, which the app serves and which every exported file carries.
import { build } from "esbuild";

const out = process.argv[2] ?? "../../../core/strobe/page/board.js";
await build({
  entryPoints: ["src/page.js"],
  outfile: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "ascii", // the file is also pasted into pages of other encodings
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
});
