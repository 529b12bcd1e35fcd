/** A thread that counts and records nothing, which is what counting and recording are measured against (npm run bench). */
import { ThreadMetrics } from "./metrics.ts";
import { Tracer } from "./tracing/tracer.ts";

export class BareMetrics extends ThreadMetrics {
  override request(): void {}
  override attempt(): void {}
  override count(): void {}
}

export class BareTracer extends Tracer {
  override settle(): void {}
  override refused(): void {}
}
