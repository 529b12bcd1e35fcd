/** The shape of `routes.yaml`. Defaults are filled in by `routes-file.ts`. */
import Type, { type Static } from "typebox";
import { LIMIT_MODES, LIMIT_SCOPES } from "../limit.ts";
import { FAILOVERS, PRIORITIES, RETRY_CAUSES, SCOPES } from "../route.ts";
import { TOKEN } from "./field.ts";
import * as field from "./field.ts";
import { KeySchema } from "./fleet-schema.ts";
import { Refusal } from "./draft.ts";

const optional = Type.Optional;

const MatchSchema = field.map("a match", "Which requests the route takes.", {
  path: field.text("Exact path; `/*` at the end takes everything below, `:name` one segment.", {
    expected: "a path such as /cart/* or /users/:id",
    most: 1024,
  }),
  host: optional(field.text("Host without port, or *.example.com.", { expected: "a host name", most: 255 })),
  methods: optional(
    field.list(
      "Methods, in upper case. Absent: all.",
      "a list such as [GET, POST]",
      field.reference("method"),
      1,
    ),
  ),
  headers: optional(
    field.keyed(
      "Header → its whole value, or true when its presence is enough.",
      "a map from header to value",
      field.either("The value.", "the header's whole value, or true", [
        field.present("The header is there."),
        field.text("The whole value.", {
          numbers: true,
          pattern: /^[^\x00-\x08\x0a-\x1f\x7f]*$/,
          expected: "a header's value",
          code: "invalid-header",
        }),
      ]),
      (name) =>
        TOKEN.test(name)
          ? undefined
          : new Refusal("invalid-header", "is no header's name; expected one such as x-beta"),
    ),
  ),
});

const BOUND = "because without a bound a dead unit would hold requests for ever";

const TimeoutSchema = field.map("a timeout", "How long a request may take.", {
  connect: optional(field.duration("To open a connection. Default 1s.", { max: 300_000, why: BOUND })),
  headers: optional(
    field.duration("From the request sent to the response's headers. Default 15s.", { why: BOUND }),
  ),
  idle: optional(
    field.duration("Without a byte in either direction. Default 60s.", { max: 24 * field.HOUR, why: BOUND }),
  ),
  total: optional(
    field.either(
      "Of the whole exchange, retries included. Default: none.",
      "a duration such as 15s, or the word none",
      [
        field.word(undefined, ["none"]),
        field.duration("Of the whole exchange.", { min: 0, max: 24 * field.HOUR }),
      ],
    ),
  ),
});

const RetrySchema = field.either(
  "What is tried again. `none`: nothing.",
  "a map such as { attempts: 2 }, or the word none",
  [
    field.word(undefined, ["none"]),
    field.map("a retry policy", "What is tried again.", {
      attempts: optional(field.integer("Attempts beyond the first. Default 2.", { min: 0, max: 10 })),
      on: optional(
        field.list(
          "Failures that are tried again.",
          "a list such as [refused, reset, 503]",
          field.word(undefined, RETRY_CAUSES),
        ),
      ),
      budget: optional(field.percentage("Most of the route's traffic that may be retries. Default 20%.")),
      unsafe: optional(field.boolean("Whether POST, PATCH and the like may be repeated. Default false.")),
    }),
  ],
);

const BreakerSchema = field.map("a breaker", "Stops asking a unit that keeps failing.", {
  errors: optional(field.percentage("Share of failures that opens it. Default 50%.", { min: 0.001 })),
  volume: optional(
    field.integer("Requests in the window below which it never opens. Default 20.", {
      min: 1,
      max: 1_000_000,
    }),
  ),
  window: optional(field.duration("What is looked back on. Default 10s.", { min: 100 })),
  open: optional(field.duration("How long it stays open before a trial. Default 5s.", { min: 10 })),
});

/** `//host` and `/\host` are other hosts to a browser; what is not ASCII must be percent-encoded. */
const REDIRECT = /^(https?:\/\/(?![/?#])|\/(?![/\\]))[\x21-\x5b\x5d-\x7e]*$/;

/** Ages are counted in seconds. */
const STALE_FOR = { min: 1000, max: 24 * field.HOUR };

const StaleSchema = field.map("a stale fallback", "The last good answers that the route keeps.", {
  for: field.duration("Oldest answer that is given.", STALE_FOR),
  size: optional(
    field.size("Memory for the route's answers in each gateway. Default 16MiB.", {
      min: 2 ** 16,
      max: 2 ** 30,
    }),
  ),
  largest: optional(field.size("Largest body that is kept. Default 1MiB.", { min: 1, max: 2 ** 26 })),
});

const FallbackSchema = field.map(
  "a fallback",
  "The answer when the route is degraded or no unit can serve.",
  {
    status: optional(
      field.integer("Default 200, with `redirect` 302. Alone: an answer without a body.", {
        min: 200,
        max: 599,
      }),
    ),
    redirect: optional(
      field.text("Where the client is sent: a URL, or a path of this host.", {
        pattern: REDIRECT,
        expected: "a URL such as https://example.com/busy, or a path such as /busy",
        code: "invalid-redirect",
        most: 2048,
      }),
    ),
    stale: optional(
      field.either(
        "The last good answer, when there is one; it may be so old.",
        "a duration such as 10m, or a map such as { for: 10m, size: 16MiB }",
        [field.duration("Oldest answer that is given.", STALE_FOR), StaleSchema],
      ),
    ),
    file: optional(field.text("File with the body, beside this one.")),
    body: optional(field.text("The body.", { numbers: true, most: 1_048_576 })),
    contentType: optional(
      field.text("Default by the file's ending.", {
        pattern: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+(\s*;[\x20-\x7e]*)?$/,
        expected: "a media type such as application/json",
        code: "invalid-content-type",
      }),
    ),
  },
);

const RouteSchema = field.map("a route", "Match, service, scope and policies.", {
  name: field.name("The route's name: in metrics, logs and overlays."),
  match: MatchSchema,
  service: field.reference("service", "The service that answers."),
  scope: field.word("sharded: the key's home unit · center: the center unit · nearest: any unit.", SCOPES),
  failover: optional(
    field.word("What may go to another unit. Default: all for nearest, else reads.", FAILOVERS),
  ),
  missingKey: optional(
    field.word("Sharded routes without a partition key. Default refuse.", ["refuse", "center"]),
  ),
  key: optional(KeySchema),
  priority: optional(field.word("Who is shed last. Default normal.", PRIORITIES)),
  timeout: optional(TimeoutSchema),
  retry: optional(RetrySchema),
  breaker: optional(BreakerSchema),
  limits: optional(field.list("Limits to obey.", "a list of limits", field.reference("limit"))),
  cost: optional(
    field.integer("Tokens that each request takes from each of its limits. Default 1.", {
      min: 1,
      max: 1_000_000,
    }),
  ),
  fallback: optional(FallbackSchema),
  maxBody: optional(field.size("Largest request body; 0 is no bound. Default 0.", { min: 0, max: 2 ** 40 })),
});

const LimitSchema = field.map("a limit", "A token bucket for each combination of `by`.", {
  rate: field.rate("Tokens per second, minute or hour."),
  burst: optional(
    field.integer("Size of the bucket. Default: one second's tokens.", { min: 1, max: 1_000_000_000 }),
  ),
  by: optional(
    field.list(
      "What has a bucket of its own: client, address, user, route, unit, tenant, header:NAME. Default: one bucket for all.",
      "a list such as [client]",
      field.text(undefined, {
        pattern: /^(client|address|user|route|unit|tenant|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/,
        expected: "client, address, user, route, unit, tenant or header:NAME",
        code: "unknown-word",
      }),
    ),
  ),
  scope: optional(
    field.word(
      "gateway: each gateway counts alone (the default) · fleet: shared through Redis.",
      LIMIT_SCOPES,
    ),
  ),
  mode: optional(field.word("enforce (the default) · dry-run: count and log, and let through.", LIMIT_MODES)),
  keys: optional(
    field.integer("Buckets that a gateway remembers at once. Default 100000.", { min: 1, max: 4_000_000 }),
  ),
});

export const RoutesSchema = field.map("routes.yaml", "What happens to a request.", {
  routes: field.list("The routes.", "a list of routes", RouteSchema),
  limits: optional(field.named("limit", "The limits that routes name.", LimitSchema)),
});
export type RoutesShape = Static<typeof RoutesSchema>;
