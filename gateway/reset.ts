/** Ends a connection whose bytes nobody wants any more. */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Plainly destroyed, a connection says FIN, and the kernel goes on sending what it still has, for minutes where the other
 * side does not answer. Reset, it forgets that. Only plain TCP can be reset; TLS is destroyed.
 */
export function reset(socket: Duplex): void {
  if (socket.constructor === Socket) (socket as Socket).resetAndDestroy();
  else socket.destroy();
}
