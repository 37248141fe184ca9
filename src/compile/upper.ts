// Bits of the upper half of an IPv6 address, given as its two words.

/** Bits of the upper half. */
export const UPPER_BITS = 64;

/** The `width` bits (0 to 16) that follow the first `from` bits. */
export function bitsAt(high: number, low: number, from: number, width: number): number {
  const end = from + width;
  const mask = (1 << width) - 1;
  if (width === 0) return 0;
  if (end <= 32) return (high >>> (32 - end)) & mask;
  if (from >= 32) return (low >>> (64 - end)) & mask;
  return ((high << (end - 32)) | (low >>> (64 - end))) & mask;
}

/** The same address with `value` in the `width` bits after the first `from`, which are zero in it. */
export function withBits(
  high: number,
  low: number,
  from: number,
  width: number,
  value: number,
): [high: number, low: number] {
  const end = from + width;
  if (width === 0) return [high, low];
  if (end <= 32) return [(high | (value << (32 - end))) >>> 0, low];
  if (from >= 32) return [high, (low | (value << (64 - end))) >>> 0];
  return [(high | (value >>> (end - 32))) >>> 0, (low | (value << (64 - end))) >>> 0];
}

/** The 32 bits that follow the first `from`; zeros follow the last. */
export function wordAt(high: number, low: number, from: number): number {
  if (from >= 64) return 0;
  if (from >= 32) return (low << (from - 32)) >>> 0;
  return from === 0 ? high : ((high << from) | (low >>> (32 - from))) >>> 0;
}

/** How many leading bits two upper halves have in common. */
export function commonBits(highA: number, lowA: number, highB: number, lowB: number): number {
  return highA === highB ? 32 + Math.clz32(lowA ^ lowB) : Math.clz32(highA ^ highB);
}

/** The upper half that follows this one. */
export function successor(high: number, low: number): [high: number, low: number] {
  return low === 0xffffffff ? [high + 1, 0] : [high, low + 1];
}

/** Are all bits after the first `from` ones? */
export function isLastAfter(from: number, high: number, low: number): boolean {
  const highOnes = from >= 32 ? 0 : 0xffffffff >>> from;
  const lowOnes = from >= 64 ? 0 : from <= 32 ? 0xffffffff : 0xffffffff >>> (from - 32);
  return (high & highOnes) >>> 0 === highOnes && (low & lowOnes) >>> 0 === lowOnes;
}
