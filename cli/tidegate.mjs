#!/usr/bin/env node
// Plain JavaScript in the syntax of old Nodes: its first task is to tell them what is wrong.
const major = Number(process.versions.node.split(".")[0]);
if (major >= 26) {
  await import("./main.ts");
} else {
  process.stderr.write(
    `tidegate needs Node 26 or newer, this is ${process.version}: run it as \`npx tidegate\` after \`npm install\`, which brings its own Node 26\n`,
  );
  process.exitCode = 69; // EX_UNAVAILABLE of sysexits.h
}
