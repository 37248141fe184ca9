// What one slot of the kernel's tables holds, byte for byte (bpf/abi.h).

/** Each array is the exact content from the start of the slot; the rest is unused. */
export interface Tables {
  /** u32 pairs {first, count}. */
  readonly roots: Uint32Array;
  /** start << 16 | class. */
  readonly ranges4: Uint32Array;
  /** 4 words an entry, little-endian layout of struct range6: start low word, start high word, value, count. */
  readonly ranges6: Uint32Array;
  readonly cells: Uint16Array;
  readonly services: Uint16Array;
  /** 2 words a rule: action | log << 8, counter. */
  readonly rules: Uint32Array;
  /** 18 words a policy (struct policy); index 0 is unused and zero. */
  readonly policies: Uint32Array;
}

/** Blocks of 4096 bytes (policies: elements) that a slot of each table needs or has. */
export interface Capacity {
  readonly roots: number;
  readonly ranges4: number;
  readonly ranges6: number;
  readonly cells: number;
  readonly services: number;
  readonly rules: number;
  readonly policies: number;
  readonly text: number;
  /** Elements of the counters and limits maps. */
  readonly counters: number;
  /** 1: with the programs that accelerate. */
  readonly acceleration: number;
}

/**
 * The text table begins with a header of u32 words: magic, generation, bytes of the
 * blob that follows, the number of elements of each table in the order of TABLES, the
 * CRC-32 of their bytes.
 */
export const TEXT_HEADER = 64;
