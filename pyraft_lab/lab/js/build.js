// Bundle the drawings: `node build.js DIR` writes lab.js and panel.js there; tests/javascript-tools --bundle calls it.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const target = resolve(process.argv[2]);

/** A fingerprint of all sources, by which a test without esbuild sees that a bundle is out of date. */
function fingerprint() {
  const hash = createHash("sha256");
  const names = readdirSync(join(here, "src")).filter((name) => name.endsWith(".js"));
  for (const name of names.sort()) hash.update(`${name}\n`).update(readFileSync(join(here, "src", name)));
  return hash.digest("hex");
}

await build({
  entryPoints: { lab: join(here, "src/main.js"), panel: join(here, "src/panel.js") },
  outdir: target,
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  banner: { js: `// Bundled from lab/js/src by lab/js/build.js; change it there. Sources: ${fingerprint()}` },
});
