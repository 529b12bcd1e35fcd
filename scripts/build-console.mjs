// Builds the console into control-plane/console/dist, which git ignores. What is there already and was made of the same
// sources is left alone.
//
//   node scripts/build-console.mjs
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const SOURCES = join(ROOT, "control-plane/console");
const DIST = join(SOURCES, "dist");
const STAMP = ".made-of";

const made = sourcesDigest();
const stamp = join(DIST, STAMP);
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== made) {
  console.error("tidegate: building the console …");
  // Aside, and swapped whole: whoever starts a control plane meanwhile reads the old one or the new one.
  const aside = join(SOURCES, `dist-${process.pid}`);
  try {
    await buildInto(aside);
    writeFileSync(join(aside, STAMP), made);
    rmSync(DIST, { recursive: true, force: true });
    renameSync(aside, DIST);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

async function buildInto(outDir) {
  await build({
    root: SOURCES,
    configFile: false,
    logLevel: "warn",
    // The control plane serves these files beside its API.
    base: "/",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: {
      outDir,
      emptyOutDir: true,
      assetsDir: "console",
      // The content security policy takes files of our own, and nothing inline.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      target: "es2022",
      cssCodeSplit: false,
    },
  });
}

/** Of everything that a build is made of: our sources, what of the model they use, and the packages. */
function sourcesDigest() {
  const files = globSync(["control-plane/console/**/*", "model/**/*.ts"], {
    cwd: ROOT,
    exclude: (name) => /(^|\/)dist(-\d+)?($|\/)/.test(name),
  });
  const hash = createHash("sha256");
  for (const file of [...files.sort(), "package-lock.json", "scripts/build-console.mjs"]) {
    const path = join(ROOT, file);
    if (!/\.(tsx?|css|html|svg|json|mjs)$/.test(file)) continue;
    hash.update(`${file}\n`).update(readFileSync(path)).update("\n");
  }
  return hash.digest("hex");
}
