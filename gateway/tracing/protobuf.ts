/** Writes Protocol Buffers (https://protobuf.dev/programming-guides/encoding/): as much of them as spans need. */

const LATIN = 0x80;

export class ProtobufWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(size = 16_384) {
    this.#bytes = Buffer.allocUnsafe(size);
  }

  /** What was written. It is overwritten by what is written after `reset`. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
  get length(): number {
    return this.#at;
  }

  #room(n: number): void {
    if (this.#at + n <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + n));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  #varint(value: number): void {
    this.#room(10);
    let rest = value;
    while (rest >= LATIN) {
      this.#bytes[this.#at++] = (rest % LATIN) | LATIN;
      rest = Math.floor(rest / LATIN);
    }
    this.#bytes[this.#at++] = rest;
  }

  /** A whole number from 0 up, as int, uint or enum. */
  number(field: number, value: number): void {
    this.#varint(field << 3);
    this.#varint(value);
  }

  /** A whole number that may be below 0, as int64. */
  integer(field: number, value: number): void {
    if (value >= 0) {
      this.number(field, value);
      return;
    }
    this.#varint(field << 3);
    this.#room(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 128n) {
      this.#bytes[this.#at++] = Number(rest & 127n) | LATIN;
      rest >>= 7n;
    }
    this.#bytes[this.#at++] = Number(rest);
  }

  fixed32(field: number, value: number): void {
    this.#varint((field << 3) | 5);
    this.#room(4);
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  fixed64(field: number, value: bigint): void {
    this.#varint((field << 3) | 1);
    this.#room(8);
    this.#at = this.#bytes.writeBigUInt64LE(value, this.#at);
  }

  string(field: number, value: string): void {
    const length = Buffer.byteLength(value);
    this.#varint((field << 3) | 2);
    this.#varint(length);
    this.#room(length);
    this.#at += this.#bytes.write(value, this.#at);
  }

  /** @param hex an even number of hexadecimal digits */
  hex(field: number, hex: string): void {
    this.#varint((field << 3) | 2);
    this.#varint(hex.length / 2);
    this.#room(hex.length / 2);
    this.#at += this.#bytes.write(hex, this.#at, "hex");
  }

  /** A message within this one. Its length comes before it, so it is written beside and then moved. */
  message(field: number, write: () => void): void {
    this.#varint((field << 3) | 2);
    const from = this.#at;
    write();
    const length = this.#at - from;
    let size = 1;
    for (let rest = length; rest >= LATIN; rest = Math.floor(rest / LATIN)) size++;
    this.#room(size);
    this.#bytes.copyWithin(from + size, from, this.#at);
    this.#at = from;
    this.#varint(length);
    this.#at = from + size + length;
  }
}
