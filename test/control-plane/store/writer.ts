/** A process that publishes into a store in a file, and says each number when it was acknowledged. */
import { writeSync } from "node:fs";
import { SqliteStore } from "../../../control-plane/store/sqlite-store.ts";
import { publishNext } from "./samples.ts";

const [file, count] = process.argv.slice(2);
const store = new SqliteStore(file!, Date.now);
for (let i = 0; i < Number(count); i++) writeSync(1, `${await publishNext(store)}\n`);
await store.close();
