/**
 * The published hash of Tidegate: XXH32 of the key's UTF-8 bytes.
 *
 * - slot = XXH32(key, seed 0) mod slots
 * - canary point = XXH32(key, seed = XXH32(salt, seed 0)) ÷ 2³²
 *
 * XXH32 was chosen because every language has it, because it is fast on short keys, and because its output is
 * uniform enough that the bias of `mod` stays below slots ÷ 2³². Test vectors that another language can check
 * are in `test/model/hash-vectors.json`; docs/routing.md publishes them.
 *
 * Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (XXH32).
 */
import xxhash from "xxhash-wasm";

const { h32 } = await xxhash();

/** XXH32 of the text's UTF-8 bytes; an unsigned 32-bit integer. */
export function hashKey(key: string, seed = 0): number {
  return h32(key, seed);
}

/** The slot that owns a key: an integer from 0 to slots − 1. */
export function slotOf(key: string, slots: number): number {
  return h32(key) % slots;
}

/** Where a key stands for one canary's salt: a number from 0 (inclusive) to 1 (exclusive). */
export function canaryPoint(key: string, saltSeed: number): number {
  return h32(key, saltSeed) / 4_294_967_296;
}

const DRAIN_SEED = h32("drain");

/** When a key moves as its unit is drained: an integer from 0 (first) to 99 (last), apart from slot and canary. */
export function drainPoint(key: string): number {
  return Math.floor((h32(key, DRAIN_SEED) / 4_294_967_296) * 100);
}
