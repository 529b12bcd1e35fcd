/** Who is at the other end of a client connection, worked out once per connection and settings. */
import { BlockList, isIPv6 } from "node:net";
import type { Socket } from "node:net";

/** CIDRs that are believed about `X-Forwarded-*` and `Forwarded`. */
export class TrustedNetworks {
  readonly #list: BlockList | undefined;

  constructor(cidrs: readonly string[]) {
    if (cidrs.length === 0) return;
    this.#list = new BlockList();
    for (const cidr of cidrs) {
      const [address = "", prefix] = cidr.split("/");
      const family = isIPv6(address) ? "ipv6" : "ipv4";
      this.#list.addSubnet(
        address,
        prefix === undefined ? (family === "ipv6" ? 128 : 32) : Number(prefix),
        family,
      );
    }
  }

  has(address: string): boolean {
    return this.#list?.check(address, isIPv6(address) ? "ipv6" : "ipv4") ?? false;
  }
}

export interface Peer {
  /** Textual address; IPv4 also where the socket is dual-stack. */
  readonly address: string;
  readonly trusted: boolean;
  readonly proto: "http" | "https";
  /** `for=…;proto=…;host=`, the constant part of a `Forwarded` element (RFC 7239). */
  readonly forwarded: string;
  /** The settings it was worked out for. */
  readonly networks: TrustedNetworks;
}

const kPeer = Symbol("peer");

export function peerOf(
  socket: Socket & { [kPeer]?: Peer; encrypted?: boolean },
  networks: TrustedNetworks,
): Peer {
  const known = socket[kPeer];
  if (known !== undefined && known.networks === networks) return known;
  const remote = socket.remoteAddress ?? "unknown";
  const address = remote.startsWith("::ffff:") ? remote.slice(7) : remote;
  const proto = socket.encrypted === true ? "https" : "http";
  const node = isIPv6(address) ? `"[${address}]"` : address;
  const peer: Peer = {
    address,
    trusted: networks.has(address),
    proto,
    forwarded: `for=${node};proto=${proto};host=`,
    networks,
  };
  socket[kPeer] = peer;
  return peer;
}
