/** Who is measured: how each proxy is configured and started, with access logs off and one worker on one core. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { freePort } from "../../host/port.ts";
import { type Started, start, versionOf } from "./processes.ts";
import { BARE, OURS, PROTECTED, SEEN, SEEN_ALONE, UNPROTECTED } from "./report.ts";

const ROOT = join(import.meta.dirname, "..", "..");
export const NODE = process.execPath;
/** nginx and the load share a core; each proxy has the other to itself. */
export const LOAD_CORE = 0;
export const PROXY_CORE = 1;

export interface Peer {
  readonly name: string;
  /** Undefined when it is not installed. */
  readonly version: () => string | undefined;
  start(dir: string, port: number, upstreams: readonly number[]): Promise<Started>;
}

const { version: ownVersion } = createRequire(import.meta.url)("../../package.json") as { version: string };
const { version: proxyVersion } = createRequire(import.meta.url)("@fastify/http-proxy/package.json") as {
  version: string;
};
const ENVOY = join(ROOT, ".cache", "envoy", "envoy", "_bin", "envoy");

/**
 * Tidegate's protection: `none` of it; `usual` is what the normative example has, breakers and the adaptive limit that
 * is on by default; `all` adds one limit of the gateway's own and one that the fleet shares through Redis.
 */
type Protection = "none" | "usual" | "all";

/**
 * What is seen of it: `none`, nothing is counted or recorded; `usual` is metrics and the error ring; `spans` sends those of
 * 1 % to a collector besides (the upstream's nginx, which takes everything); `alone` would, but nobody is there.
 */
type Seeing = "none" | "usual" | "spans" | "alone";

function tidegate(name: string, protection: Protection, seeing: Seeing = "usual"): Peer {
  return {
    name,
    version: () => ownVersion,
    async start(dir, port, upstreams) {
      writeConfig(dir, upstreams, protection);
      const command = [
        NODE,
        join(ROOT, "cli", "tidegate.mjs"),
        "gateway",
        "--config",
        dir,
        "--host",
        "127.0.0.1",
      ];
      const options = ["--port", `${port}`, "--admin-port", "0", "--threads", "1", "--access-log", "off"];
      const ends = ["--lame-duck", "0s", "--grace", "1s"];
      if (seeing === "spans" || seeing === "alone") {
        const collector = seeing === "spans" ? upstreams[0] : await freePort();
        ends.push("--otlp", `http://127.0.0.1:${collector}`);
      }
      const env = seeing === "none" ? { TIDEGATE_BARE: "1" } : {};
      if (protection !== "all") return start(PROXY_CORE, [...command, ...options, ...ends], port, env);
      const redisPort = await freePort();
      const server = [
        "redis-server",
        "--port",
        `${redisPort}`,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        dir,
      ];
      const redis = await start(LOAD_CORE, server, redisPort);
      const shared = ["--redis", `redis://127.0.0.1:${redisPort}`];
      const gateway = await start(PROXY_CORE, [...command, ...options, ...ends, ...shared], port);
      const stop = async (): Promise<void> => {
        await Promise.all([gateway.stop(), redis.stop()]);
      };
      return { ...gateway, stop };
    },
  };
}

export const PEERS: readonly Peer[] = [
  // Measured in this order: the two that a promise names stand beside Tidegate, so that the machine drifts least
  // between them.
  {
    name: "@fastify/http-proxy",
    version: () => proxyVersion,
    start(_dir, port, [upstream]) {
      return start(
        PROXY_CORE,
        [NODE, join(import.meta.dirname, "http-proxy.ts"), `http://127.0.0.1:${upstream}`, `${port}`],
        port,
      );
    },
  },
  tidegate(OURS, "usual"),
  tidegate(UNPROTECTED, "none"),
  tidegate(PROTECTED, "all"),
  tidegate(BARE, "usual", "none"),
  tidegate(SEEN, "usual", "spans"),
  tidegate(SEEN_ALONE, "usual", "alone"),
  {
    name: "caddy",
    version: () => versionOf(["caddy", "version"]),
    start(dir, port, [upstream]) {
      const file = join(dir, "Caddyfile");
      writeFileSync(
        file,
        `{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  # By default it keeps 32 idle connections and makes the others anew, which costs it a third and more here.
  reverse_proxy 127.0.0.1:${upstream} {
    transport http {
      keepalive_idle_conns_per_host 1024
    }
  }
}
`,
      );
      return start(PROXY_CORE, ["caddy", "run", "--config", file, "--adapter", "caddyfile"], port, {
        GOMAXPROCS: "1",
        HOME: dir,
        XDG_DATA_HOME: dir,
        XDG_CONFIG_HOME: dir,
      });
    },
  },
  {
    name: "nginx",
    version: () => versionOf(["nginx", "-v"]),
    start(dir, port, [upstream]) {
      return startNginx(
        PROXY_CORE,
        dir,
        port,
        `upstream units { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 1000000; }
         server { listen 127.0.0.1:${port} backlog=4096; location / {
           proxy_pass http://units; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
           proxy_set_header X-Forwarded-For $remote_addr; } }`,
      );
    },
  },
  {
    name: "haproxy",
    version: () => versionOf(["haproxy", "-v"]),
    start(dir, port, [upstream]) {
      const file = join(dir, "haproxy.cfg");
      writeFileSync(
        file,
        `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  option forwardfor
frontend in
  bind 127.0.0.1:${port}
  default_backend units
backend units
  http-reuse always
  server u1 127.0.0.1:${upstream} check inter 1s
`,
      );
      return start(PROXY_CORE, ["haproxy", "-f", file, "-db"], port);
    },
  },
  {
    name: "envoy",
    version: () => (existsSync(ENVOY) ? (versionOf([ENVOY, "--version"]) ?? "?") : undefined),
    start(dir, port, [upstream]) {
      const file = join(dir, "envoy.json");
      writeFileSync(file, JSON.stringify(envoyConfig(port, upstream!)));
      return start(
        PROXY_CORE,
        [ENVOY, "-c", file, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"],
        port,
      );
    },
  },
];

/** The upstream of all: nginx on three ports, one for each unit of Tidegate. */
export function startUpstream(dir: string, ports: readonly number[]): Promise<Started> {
  const small = `${"a small answer of about one hundred bytes, ".repeat(2)}as a cart or a price is.\\n`;
  mkdirSync(join(dir, "files"), { recursive: true });
  writeFileSync(join(dir, "files", "64k"), Buffer.alloc(65_536, "x"));
  return startNginx(
    LOAD_CORE,
    dir,
    ports[0]!,
    `server {
       ${ports.map((p) => `listen 127.0.0.1:${p} backlog=4096;`).join("\n")}
       client_body_buffer_size 64k; client_max_body_size 1m; default_type text/plain;
       root ${dir}/files;
       location / { return 200 "${small}"; }
       location = /hall/64k { alias ${dir}/files/64k; }
       # A plain return answers before the body has come. mirror reads it whole first; then a POST for a file is a 405,
       # which is answered as 200.
       location = /hall/post { mirror /.read; try_files /64k =404; error_page 405 =200 /.done; }
       location = /.read { internal; return 204; }
       location = /.done { internal; return 200 "done\\n"; }
     }`,
  );
}

/** One worker, no access log; everything that nginx writes goes to the benchmark's own folder. */
function startNginx(core: number, dir: string, port: number, http: string): Promise<Started> {
  const home = join(dir, `nginx-${port}`);
  mkdirSync(home, { recursive: true });
  const file = join(home, "nginx.conf");
  writeFileSync(
    file,
    `worker_processes 1; daemon off; pid ${home}/pid; error_log stderr error;
     events { worker_connections 8192; }
     http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 75s;
       ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((n) => `${n}_temp_path ${home}/${n};`).join(" ")}
       ${http} }`,
  );
  return start(core, ["nginx", "-c", file, "-p", home, "-e", "stderr"], port);
}

/** The normative example's routes with its policies. */
function writeConfig(dir: string, [hz, sh, sz]: readonly number[], protection: Protection): void {
  // Static capacities would refuse what the benchmark sends.
  const unit = protection === "none" ? ", concurrency: fixed" : "";
  writeFileSync(
    join(dir, "fleet.yaml"),
    `fleet: bench
regions: { hangzhou: {}, shanghai: {}, shenzhen: {} }
units:
  hz: { region: hangzhou, center: true${unit} }
  sh: { region: shanghai, failover: [hz, sz]${unit} }
  sz: { region: shenzhen, failover: [hz, sh]${unit} }
placement:
  key: [ { header: x-user-id }, { cookie: uid }, { query: uid } ]
  slots: 1024
  map: { hz: 0-409, sh: 410-819, sz: 820-1023 }
  pins: { qa-1: sz }
services:
  hall:
    health: { path: /healthz, interval: 1s, timeout: 500ms, healthy: 2, unhealthy: 3 }
    pools:
      hz: { stable: [ "http://127.0.0.1:${hz}" ] }
      sh: { stable: [ "http://127.0.0.1:${sh}" ] }
      sz: { stable: [ "http://127.0.0.1:${sz}" ] }
`,
  );
  const policies = `    timeout: { connect: 300ms, headers: 2s, idle: 10s, total: 15s }
    retry: { attempts: 2, on: [refused, reset, timeout, 502, 503, 504], budget: 20% }
${protection === "none" ? "" : "    breaker: { errors: 50%, volume: 20, window: 10s, open: 5s }\n"}${
  protection === "all" ? "    limits: [ per-client, of-the-fleet ]\n" : ""
}`;
  const limits =
    protection === "all"
      ? `limits:
  per-client: { rate: 1000000/s, by: [client], scope: gateway }
  of-the-fleet: { rate: 1000000/s, by: [route, unit], scope: fleet }
`
      : "";
  writeFileSync(
    join(dir, "routes.yaml"),
    `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
    failover: all
${policies}  - name: cart
    match: { path: /cart/*, methods: [GET, POST, PUT, DELETE] }
    service: hall
    scope: sharded
    failover: reads
    priority: high
${policies}${limits}`,
  );
}

function envoyConfig(port: number, upstream: number): object {
  const address = (p: number): object => ({ socket_address: { address: "127.0.0.1", port_value: p } });
  return {
    static_resources: {
      listeners: [
        {
          address: address(port),
          filter_chains: [
            {
              filters: [
                {
                  name: "envoy.filters.network.http_connection_manager",
                  typed_config: {
                    "@type":
                      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    stat_prefix: "in",
                    route_config: {
                      virtual_hosts: [
                        {
                          name: "all",
                          domains: ["*"],
                          routes: [{ match: { prefix: "/" }, route: { cluster: "units" } }],
                        },
                      ],
                    },
                    http_filters: [
                      {
                        name: "envoy.filters.http.router",
                        typed_config: {
                          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                        },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name: "units",
          connect_timeout: "1s",
          type: "STATIC",
          load_assignment: {
            cluster_name: "units",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }],
          },
        },
      ],
    },
  };
}
