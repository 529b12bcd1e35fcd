/** The shape of `gateway.yaml`. Defaults are `DEFAULT_GATEWAY_SETTINGS`. */
import Type, { type Static } from "typebox";
import * as field from "./field.ts";
import { KeySchema } from "./fleet-schema.ts";

const optional = Type.Optional;

export const GatewaySchema = field.map("gateway.yaml", "How a gateway listens and protects itself.", {
  trust: optional(
    field.list(
      "CIDRs whose X-Forwarded-* and Forwarded are believed.",
      "a list such as [10.0.0.0/8]",
      field.reference("network", "A CIDR such as 10.0.0.0/8 or ::1/128."),
    ),
  ),
  underscores: optional(field.word("Header names with `_`. Default refuse.", ["refuse", "pass"])),
  client: optional(
    field.map("a client policy", "What clients may do.", {
      maxHeader: optional(
        field.size("Request line and headers together. Default 60KiB.", { min: 1024, max: 1_048_576 }),
      ),
      maxHeaders: optional(field.integer("Number of header fields. Default 100.", { min: 8, max: 10_000 })),
      headerTimeout: optional(
        field.duration("To receive the whole head. Default 10s.", {
          max: 300_000,
          why: "because without a bound slow clients take every connection",
        }),
      ),
      keepAlive: optional(field.duration("A connection without a request. Default 75s.")),
      maxConnections: optional(
        field.integer("Client connections at once. Default 16384.", { min: 1, max: 1_000_000 }),
      ),
      maxStreams: optional(
        field.integer("HTTP/2 streams of one connection. Default 100.", { min: 1, max: 10_000 }),
      ),
    }),
  ),
  identity: optional(
    field.map("an identity", "Who a request is counted as, by limits.", {
      apiKey: optional(
        field.headerName("Header with the client's API key. Default: none, the address counts."),
      ),
      tenant: optional(KeySchema),
      ipv4: optional(
        field.integer("Bits of an IPv4 address that make one client. Default 32.", { min: 8, max: 32 }),
      ),
      ipv6: optional(
        field.integer("Bits of an IPv6 address that make one client. Default 64.", { min: 16, max: 128 }),
      ),
    }),
  ),
  replayBody: optional(
    field.size("Bodies up to this are kept to be sent again. Default 64KiB.", {
      min: 0,
      max: 1_048_576,
      why: "because every request under way holds one in memory",
    }),
  ),
  accessLog: optional(
    field.map("an access log", "Which requests are logged.", {
      sample: optional(field.percentage("Share of requests; 5xx are always logged. Default 100%.")),
    }),
  ),
  tracing: optional(
    field.map("a tracing policy", "Which requests are recorded, as spans and as error traces.", {
      sample: optional(
        field.percentage(
          "Share of requests without a trace of their own; failed and slow ones always. Default 1%.",
        ),
      ),
      slow: optional(field.duration("Until the answer began; what takes longer is slow. Default 1s.")),
      parents: optional(
        field.rate("Requests that are recorded because their client's trace is. Default 100/s."),
      ),
      headers: optional(
        field.list(
          "Request headers that are shown beside the usual ones; secrets never are.",
          "a list of header names",
          field.headerName("A header name such as x-tenant."),
        ),
      ),
    }),
  ),
  stress: optional(
    field.map("a stress policy", "Who may mark stress traffic, and how much of it passes.", {
      keys: optional(
        field.list(
          "Public keys whose marks count; `tidegate stress key` makes one.",
          "a list of public keys",
          field.plain("An Ed25519 public key on one line.", 100),
        ),
      ),
      limit: optional(
        field.rate("Stress traffic that a gateway takes for one unit, all runs together. Default: no bound."),
      ),
    }),
  ),
});
export type GatewayShape = Static<typeof GatewaySchema>;
