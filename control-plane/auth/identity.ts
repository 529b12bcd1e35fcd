/** Who asks, however they proved it: by a token of ours, by one of an identity provider, by a certificate. */
import type { Role } from "../tokens.ts";

export interface Identity {
  /** What the audit log calls them. */
  readonly name: string;
  readonly role: Role;
  /** The gateways that it may speak for; undefined: any. */
  readonly gateways: readonly string[] | undefined;
  /** Whether what it was proved with still holds: streams outlive tokens and certificates. */
  readonly stands: () => boolean;
}

/** What was shown proves nothing. */
export class NotProven extends Error {
  override readonly name = "NotProven";
  /** Its signature was good, and it is over or for somebody else: nobody was guessing. */
  readonly genuine: boolean;

  constructor(message: string, genuine = false) {
    super(message);
    this.genuine = genuine;
  }
}
