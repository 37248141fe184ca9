// Typed arrays that grow by doubling.

/** The same array, or a longer copy when it cannot hold `length` elements. */
export function grownU32(
  array: Uint32Array<ArrayBuffer>,
  length: number,
): Uint32Array<ArrayBuffer> {
  if (length <= array.length) return array;
  const larger = new Uint32Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}

/** The same array, or a longer copy when it cannot hold `length` elements. */
export function grownU16(
  array: Uint16Array<ArrayBuffer>,
  length: number,
): Uint16Array<ArrayBuffer> {
  if (length <= array.length) return array;
  const larger = new Uint16Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}
