/** What a gateway may report, and how much. */
import { Type } from "typebox";
import { BUCKETS } from "../../model/latency-histogram.ts";
import { OUTCOMES } from "../../model/outcome.ts";
import { MOST_TRACES } from "../../model/request-trace.ts";
import {
  LONGEST_SLICE,
  MOST_LIMITS,
  MOST_SERIES,
  MOST_STRESS_SERIES,
  MOST_VIEWS,
  OLDEST_SLICE,
} from "../../model/report.ts";

/** Of as many series as may be, each with as many latencies as may be. */
export const MOST_REPORT_BYTES = 2.25 * 1024 * 1024;

const strict = { additionalProperties: false };
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** A gateway does not serve more in a minute. */
const Requests = Type.Integer({ minimum: 0, maximum: 100_000_000 });
const Name = Type.String({ maxLength: 200 });
const Version = Type.Union([Type.Literal("stable"), Type.Literal("canary")]);

const SeriesShape = Type.Tuple([
  Name,
  Name,
  Version,
  Type.Array(Requests, { maxItems: OUTCOMES.length, description: `requests: ${OUTCOMES.join(", ")}` }),
  Type.Array(Requests, { maxItems: 2 * BUCKETS, description: "latencies: bucket, requests, …" }),
]);

const SliceShape = Type.Object(
  {
    start: Type.String({ minLength: 1, maxLength: 40 }),
    number: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    span: Type.Number({ exclusiveMinimum: 0, maximum: LONGEST_SLICE }),
    age: Type.Number({ minimum: 0, maximum: OLDEST_SLICE }),
    folded: Count,
    series: Type.Array(SeriesShape, { maxItems: MOST_SERIES }),
    stress: Type.Optional(
      Type.Array(SeriesShape, { maxItems: MOST_STRESS_SERIES, description: "the same of stress traffic" }),
    ),
    limited: Type.Array(Type.Tuple([Name, Requests]), { maxItems: MOST_LIMITS }),
  },
  { ...strict, description: "what was counted since the slice before; sent again until it is acknowledged" },
);

const UnitShape = Type.Object(
  {
    healthy: Type.Boolean(),
    inflight: Type.Number({ minimum: 0 }),
    rate: Type.Number({ minimum: 0 }),
    drained: Type.Number({ minimum: 0, maximum: 1 }),
  },
  strict,
);

const PoolShape = Type.Object(
  { service: Name, unit: Name, version: Version, usable: Count, total: Count },
  strict,
);

const CanaryShape = Type.Object({ service: Name, unit: Name, stable: Count, canary: Count }, strict);

const BreakerShape = Type.Object(
  {
    service: Name,
    unit: Name,
    state: Type.Union([Type.Literal("closed"), Type.Literal("half-open"), Type.Literal("open")]),
    forced: Type.Union([Type.Literal("open"), Type.Literal("closed"), Type.Null()]),
  },
  strict,
);

const Text = (most: number) => Type.String({ maxLength: most });
const Time = Type.Number({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER });
const TraceId = Type.String({ pattern: "^[0-9a-f]{32}$" });
const SpanId = Type.String({ pattern: "^[0-9a-f]{16}$" });
const Status = Type.Integer({ minimum: 0, maximum: 999 });

/** Times are milliseconds after `at`; -1: never. */
const AttemptShape = Type.Object(
  {
    ...{ unit: Name, endpoint: Text(300), version: Text(200), start: Time, headers: Time, end: Time },
    ...{ status: Status, error: Text(1_000), spanId: SpanId },
  },
  strict,
);

/** `RequestTrace`. */
export const TraceShape = Type.Object(
  {
    ...{ traceId: TraceId, spanId: SpanId, at: Time, gateway: Name, revision: Count },
    kind: Type.Union([Type.Literal("failed"), Type.Literal("slow")]),
    ...{ route: Name, unit: Name, home: Name, slot: Type.Integer({ minimum: -1 }), version: Text(200) },
    ...{ reason: Text(1_000), failover: Text(1_000), method: Text(100), path: Text(4_000) },
    ...{ status: Status, problem: Text(200), duration: Time, waited: Time },
    attempts: Type.Array(AttemptShape, { maxItems: 100 }),
    headers: Type.Record(Type.String({ maxLength: 200 }), Type.String({ maxLength: 1_000 }), {
      maxProperties: 200,
    }),
    stress: Name,
  },
  strict,
);

export const ReportShape = Type.Object(
  {
    epoch: Count,
    revision: Count,
    // Strict: a name with a line break fits no pattern of typebox, and its value would not be looked at.
    units: Type.Record(Type.String(), UnitShape, strict),
    versions: Type.Optional(Type.Record(Type.String({ maxLength: 200 }), Type.Boolean(), strict)),
    pools: Type.Optional(
      Type.Array(PoolShape, {
        maxItems: MOST_VIEWS,
        description: "those with an endpoint that may not be used",
      }),
    ),
    breakers: Type.Optional(
      Type.Array(BreakerShape, { maxItems: MOST_VIEWS, description: "those that are not closed, or forced" }),
    ),
    canaries: Type.Optional(
      Type.Array(CanaryShape, {
        maxItems: MOST_VIEWS,
        description: "requests under way by version, where users see a canary",
      }),
    ),
    limits: Type.Optional(
      Type.Object({ leasing: Type.Union([Type.Boolean(), Type.Null()]), gateways: Count }, strict),
    ),
    slice: Type.Optional(SliceShape),
    errors: Type.Optional(
      Type.Array(TraceShape, { maxItems: MOST_TRACES, description: "failed and slow requests" }),
    ),
  },
  strict,
);
