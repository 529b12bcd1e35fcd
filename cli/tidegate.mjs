#!/usr/bin/env node
// Plain JavaScript in the syntax of old Nodes: its first task is to tell them what is wrong.
const major = Number(process.versions.node.split(".")[0]);
if (major >= 26) {
  await keepCompiled();
  await import("./main.ts");
} else {
  process.stderr.write(
    `tidegate needs Node 26 or newer, this is ${process.version}: run it as \`npx tidegate\` after \`npm install\`, which brings its own Node 26\n`,
  );
  process.exitCode = 69; // EX_UNAVAILABLE of sysexits.h
}

/**
 * Starts in half the time: what was compiled once is kept beside the packages, where only who may change the code may
 * write (Node's own default is the directory for temporary files, which is everybody's). By the environment too, which
 * threads inherit. A directory that cannot be written is no error.
 */
async function keepCompiled() {
  const { enableCompileCache } = await import("node:module");
  const { fileURLToPath } = await import("node:url");
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
    new URL("../node_modules/.cache/compiled", import.meta.url),
  );
  enableCompileCache(process.env.NODE_COMPILE_CACHE);
}
