/** Tells whoever answers a request that its client is done with: the answer was sent whole, or the client left. */
import type { ServerResponse } from "node:http";

export interface ResponseOwner {
  onClientClose(): void;
}

const kOwner = Symbol("owner");
type OwnedResponse = ServerResponse & { [kOwner]?: ResponseOwner };

export function own(response: ServerResponse, owner: ResponseOwner): void {
  (response as OwnedResponse)[kOwner] = owner;
  response.on("close", onClose);
}

export function disown(response: ServerResponse): void {
  response.off("close", onClose);
}

/** One function for all responses, so that no request makes one. */
function onClose(this: ServerResponse): void {
  (this as OwnedResponse)[kOwner]!.onClientClose();
}
