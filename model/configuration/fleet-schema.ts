/** The shape of `fleet.yaml`. Defaults are filled in by `fleet-file.ts`. */
import Type, { type Static } from "typebox";
import * as field from "./field.ts";

const optional = Type.Optional;

/** Of `placement.key` and a route's `key`. */
export const KeySchema = field.list(
  "Where the partition key is looked for; the first one present counts.",
  "a list such as [ { header: x-user-id }, { cookie: uid } ]",
  field.map("a key source", "One place: a header, a cookie, a query parameter or a `:param` of the path.", {
    header: optional(field.headerName("A request header.")),
    cookie: optional(
      field.text("A cookie.", { pattern: field.TOKEN, expected: "a cookie's name", code: "invalid-name" }),
    ),
    query: optional(
      field.text("A query parameter.", {
        pattern: /^[^&=#\s\x00-\x1f%+]{1,256}$/,
        expected: "the name of a query parameter",
        code: "invalid-name",
      }),
    ),
    path: optional(
      field.text("A `:param` of the route's path, without the colon.", {
        pattern: /^[A-Za-z][A-Za-z0-9_]{0,62}$/,
        expected: "the name of a `:param` of the route's path, without the colon",
        code: "invalid-name",
      }),
    ),
  }),
  1,
);

const UnitSchema = field.map(
  "a unit",
  "A self-contained cell in one region that can serve its users alone.",
  {
    region: field.reference("region", "The region the unit stands in."),
    center: optional(field.boolean("The one unit that owns what cannot be sharded.")),
    capacity: optional(field.rate("Requests per second that the unit is known to bear.")),
    failover: optional(
      field.list(
        "Units to try when this one cannot serve. Default: its own region's, then near regions', then the rest.",
        "a list of units",
        field.reference("unit"),
      ),
    ),
    concurrency: optional(
      field.word(
        "adaptive (the default): follows the measured latency, below `inflight` · fixed: `inflight` alone.",
        ["adaptive", "fixed"],
      ),
    ),
    inflight: optional(
      field.integer("Requests under way to this unit at once. Default 8192.", { min: 1, max: 1_000_000 }),
    ),
    queue: optional(
      field.map("a queue", "Requests that wait for a place when `inflight` is reached.", {
        size: optional(field.integer("How many may wait. Default 256.", { min: 0, max: 1_000_000 })),
        wait: optional(field.duration("How long. Default 500ms.", { min: 0, max: 60_000 })),
      }),
    ),
  },
);

const PlacementSchema = field.map("a placement", "Which unit each slot, and so each user, lives in.", {
  key: optional(KeySchema),
  slots: optional(field.integer("Number of hash buckets. Default 1024.", { min: 1, max: 65_536 })),
  map: field.keyed(
    "Unit → its slots. Every slot is given to exactly one unit.",
    "a map from each unit to its slots, such as { hz: 0-511, sh: 512-1023 }",
    field.either("Slots, e.g. 0-409 or 0-9,20,30-40.", "slots such as 0-409, or a list of them", [
      field.slotRanges(),
      field.list("Ranges of slots.", "a list of slots", field.slotRanges()),
    ]),
  ),
  pins: optional(
    field.keyed("Keys placed by hand: key → unit.", "a map from key to unit", field.reference("unit")),
  ),
  epoch: optional(
    field.integer("Raised whenever a slot moves. Default 1.", { min: 1, max: Number.MAX_SAFE_INTEGER }),
  ),
});

const BOUND = "because the next check must not wait for ever";

const HealthSchema = field.either(
  "Active health checks. Absent: a TCP connection each second. `none`: no checks.",
  "a map such as { path: /healthz }, or the word none",
  [
    field.word(undefined, ["none"]),
    field.map("a health check", "How endpoints are asked whether they are well.", {
      kind: optional(
        field.word("`http` (the default) asks for `path`; `tcp` opens a connection.", ["http", "tcp"]),
      ),
      path: optional(
        field.text("Path to ask for.", {
          pattern: /^\/[^\s#\x00-\x1f\x7f-\uffff]*$/,
          expected: "a path such as /healthz",
          code: "invalid-path",
        }),
      ),
      host: optional(
        field.text("Host header. Default: the endpoint's address.", {
          pattern: /^[A-Za-z0-9._:[\]-]{1,255}$/,
          expected: "a host name",
          code: "invalid-host",
        }),
      ),
      interval: optional(field.duration("Between checks. Default 1s.", { min: 10 })),
      timeout: optional(field.duration("Of one check. Default 500ms.", { min: 1, max: 300_000, why: BOUND })),
      healthy: optional(
        field.integer("Checks in a row that heal an endpoint. Default 2.", { min: 1, max: 1000 }),
      ),
      unhealthy: optional(
        field.integer("Checks in a row that condemn an endpoint. Default 3.", { min: 1, max: 1000 }),
      ),
      jitter: optional(
        field.percentage("Share by which intervals are shortened at random. Default 10%.", { max: 0.5 }),
      ),
      status: optional(
        field.either(
          "Statuses that pass. Default 200-299.",
          "a status such as 200, a range such as 200-299, or a list",
          [
            field.statusRange(),
            field.list("Statuses that pass.", "a list of statuses", field.statusRange(), 1),
          ],
        ),
      ),
      body: optional(
        field.text("Text that the first 64 KiB of the body must contain.", {
          numbers: true,
          pattern: /./s,
          expected: "a text that is not empty",
        }),
      ),
    }),
  ],
);

const OutlierSchema = field.either(
  "Ejection of endpoints on which real traffic fails. `none` turns it off.",
  "a map such as { consecutive: 5 }, or the word none",
  [
    field.word(undefined, ["none"]),
    field.map("an outlier policy", "When real traffic ejects an endpoint.", {
      consecutive: optional(
        field.integer("Failures in a row that eject; 0 is never. Default 5.", { min: 0, max: 100_000 }),
      ),
      baseEjection: optional(
        field.duration("The first ejection's length. Default 30s.", { max: 24 * field.HOUR }),
      ),
      maxEjection: optional(field.duration("The longest ejection. Default 300s.", { max: 24 * field.HOUR })),
      maxShare: optional(field.percentage("Most of a pool that may be ejected at once. Default 50%.")),
    }),
  ],
);

const CanarySchema = field.map("a canary policy", "Who is served by the canary version.", {
  share: optional(field.percentage("Share of partition keys. Default 0%.")),
  salt: optional(
    field.text("Makes different canaries pick different users. Default: the service's name.", {
      numbers: true,
    }),
  ),
  header: optional(
    field.map("a canary header", "A request with this header sees the canary.", {
      name: field.headerName("The header."),
      value: field.text("Its whole value.", {
        numbers: true,
        pattern: /^[^\x00-\x08\x0a-\x1f\x7f]+$/,
        expected: "a header's value",
        code: "invalid-header",
      }),
    }),
  ),
  pins: optional(
    field.list(
      "Keys that always see the canary.",
      "a list of keys",
      field.text("A partition key.", { numbers: true }),
    ),
  ),
});

const endpoints = (description: string) =>
  field.list(
    description,
    'a list of addresses such as [ "http://10.0.0.1:8080" ]',
    field.reference("server", "An address such as http://10.0.0.1:8080."),
  );

const ServiceSchema = field.map("a service", "A named upstream.", {
  health: optional(HealthSchema),
  outlier: optional(OutlierSchema),
  slowStart: optional(
    field.duration("Ramp of an endpoint that recovers; 0s is none. Default 10s.", { min: 0 }),
  ),
  inflight: optional(
    field.integer("Requests under way to one endpoint at once. Default 1024.", { min: 1, max: 1_000_000 }),
  ),
  canary: optional(CanarySchema),
  tls: optional(
    field.map("a TLS policy", "How https endpoints are verified.", {
      ca: optional(field.text("File with the PEM certificates of a private CA, beside this one.")),
      servername: optional(
        field.text("Name to verify and to send by SNI. Default: the endpoint's host.", {
          pattern:
            /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/,
          expected: "a host name",
          code: "invalid-host",
        }),
      ),
    }),
  ),
  pools: field.keyed(
    "Unit → the service's endpoints there.",
    "a map from unit to a pool",
    field.map("a pool", "A service's endpoints in one unit.", {
      stable: endpoints("Endpoints of the stable version."),
      canary: optional(endpoints("Endpoints of the canary version.")),
    }),
  ),
});

export const FleetSchema = field.map("fleet.yaml", "Where traffic can go.", {
  fleet: field.name("The fleet's name."),
  regions: field.named(
    "region",
    "Places that fail together.",
    field.map("a region", "A place that fails together.", {
      near: optional(
        field.list("Other regions, nearest first.", "a list of regions", field.reference("region")),
      ),
    }),
  ),
  units: field.named("unit", "The units.", UnitSchema),
  placement: optional(PlacementSchema),
  services: field.named("service", "The named upstreams.", ServiceSchema),
});
export type FleetShape = Static<typeof FleetSchema>;
