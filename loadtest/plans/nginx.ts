/** A unit of nginx that writes down when it was asked, and ends with this process. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accepts, freePort } from "../../host/port.ts";

export class NginxUnit {
  readonly name: string;
  readonly #dir: string;
  #child: ChildProcess | undefined;
  port = 0;

  constructor(name: string) {
    this.name = name;
    this.#dir = mkdtempSync(join(tmpdir(), `tidegate-nginx-${name}-`));
    process.on("exit", () => {
      this.#child?.kill("SIGKILL");
      rmSync(this.#dir, { recursive: true, force: true });
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.port = await freePort();
    writeFileSync(
      join(this.#dir, "nginx.conf"),
      `daemon off; pid nginx.pid; error_log error.log; worker_processes 1;
events { worker_connections 4096; }
http {
  log_format when '$msec $request_method';
  access_log asked.log when;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 1000000;
  server { listen 127.0.0.1:${this.port} backlog=4096; location / { return 200 "${this.name}"; } }
}
`,
    );
    this.#child = spawn("nginx", ["-p", this.#dir, "-c", "nginx.conf", "-e", "error.log"], {
      stdio: "ignore",
    });
    for (const end = performance.now() + 5_000; ; ) {
      if (await accepts(this.port)) return;
      if (performance.now() > end) throw new Error(`nginx did not start; its error.log is in ${this.#dir}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** When it was asked, in milliseconds since 1970, to the millisecond. */
  asked(): number[] {
    const lines = readFileSync(join(this.#dir, "asked.log"), "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => Number(line.split(" ")[0]) * 1000);
  }
}
