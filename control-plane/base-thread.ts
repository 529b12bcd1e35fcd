/** The thread that bases are read on: it takes files, and gives what they say. */
import { parentPort } from "node:worker_threads";
import { type Base, readBase } from "./base.ts";

parentPort!.on("message", (base: Base) => parentPort!.postMessage(readBase(base)));
