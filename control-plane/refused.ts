/** Why a command was not done, in the words of the API: each has a status and a problem type of its own. */

export type RefusalKind =
  | "bad-request"
  | "unauthenticated"
  | "forbidden"
  | "not-found"
  | "conflict"
  | "overlay-conflict"
  | "invalid-configuration"
  | "safety"
  | "idempotency-mismatch"
  | "too-many"
  | "not-leader"
  | "identity-provider"
  | "store";

export const REFUSAL_STATUS: Readonly<Record<RefusalKind, number>> = {
  "bad-request": 400,
  unauthenticated: 401,
  forbidden: 403,
  "not-found": 404,
  conflict: 409,
  "overlay-conflict": 409,
  "invalid-configuration": 422,
  safety: 422,
  "idempotency-mismatch": 422,
  "too-many": 429,
  "not-leader": 503,
  "identity-provider": 503,
  store: 503,
};

/** A command that was refused; nothing was changed. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly kind: RefusalKind;
  /** More for scripts: conflicting overlay, problems of files, broken rules. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(kind: RefusalKind, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.kind = kind;
    this.details = details;
  }
}
