/** The part of a client's address by which limits count: a household or a site rather than one of its addresses. */
import ipaddr from "ipaddr.js";

/**
 * @param address textual; what is no address (a trusted proxy may say `unknown`) stands for itself
 * @param ipv4 bits that count of an IPv4 address · @param ipv6 of an IPv6 address
 */
export function clientPrefix(address: string, ipv4: number, ipv6: number): string {
  const isV6 = address.indexOf(":") !== -1;
  // Every bit of an IPv4 address, which has one spelling: nothing to work out.
  if (!isV6 && ipv4 === 32) return address;
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  const bits = parsed.kind() === "ipv6" ? ipv6 : ipv4;
  const bytes = parsed.toByteArray();
  let text = parsed.kind() === "ipv6" ? "6" : "4";
  for (let i = 0; i * 8 < bits; i++) {
    const kept = Math.min(8, bits - i * 8);
    text += `.${bytes[i]! & (0xff << (8 - kept))}`;
  }
  return text;
}
