// Constants of the table layout (bpf/abi.h), as the compiler and its readers use
// them. Structs and enums come from the generated layout; macros have no BTF and
// are written here again.

import {
  action,
  direction,
  direction_index,
  line,
  log_level,
  policy,
  wide_root,
} from '../abi/layout.gen.js';

/** Tables of another version cannot be read. */
export const ABI_VERSION = 3;

export const BLOCK_SIZE = 4096;

/** First IPv6 entry in `roots`. */
export const ROOTS6 = 65536;
/** First node entry in `roots`. */
export const NODES = 131072;
/** In an entry's count: `first` is where a node begins, counted from NODES. */
export const ROOT_NODE = 0x80000000;
/** In an entry's count: what it counts are lines. */
export const ROOT_LINES = 0x40000000;
/** Mask of a node's width in its count. */
export const NODE_WIDTH = 0xf;
/** Where a node's count says how many bits it skips. */
export const NODE_SKIP = 4;
export const NODE_SKIPPED = 0x1f;
/** Where a node's count says the value of the skipped bits. */
export const NODE_COMMON = 9;
/** In a node's count: its entries are wide. */
export const NODE_WIDE = 0x02000000;
/** Nodes on the way to an IPv6 range, at most: the last one only makes an entry wide. */
export const NODE_LEVELS6 = 9;

/** Ends of ranges in struct line: of all but the last. */
export const LINE_LASTS = 12;
/** Bits that stand for a range in its codes. */
export const CODE_BITS = 2;
/** A range that goes on in ranges6; lower codes say which of the line's classes it is of. */
export const CODE_LONG = 3;
/** Ends of lines in struct wide_root. */
export const WIDE_LASTS = 6;
/** Entries in whose place a wide one stands. */
export const WIDE_PLACES = 4;
/** An end that is not used: no address is above it. */
export const NO_LAST = 0xffffffff;

export const POLICY_AUDIT = 1;
export const POLICY_RAW_DENY = 2;
export const POLICY_ACCELERATE = 4;
export const POLICY_LOUD = 8;
export const DIRECTION_OPEN = 1;
export const DIRECTION_ONE_ROW = 2;
export const DIRECTION_ONE_COLUMN = 4;
export const DIRECTION_CLOSED = 8;

const WORD_BYTES = 4;

/** 32-bit words in struct policy. */
export const POLICY_WORDS = policy.size / WORD_BYTES;

/** Word of struct policy at which a direction begins. */
export const DIRECTION_OFFSET = {
  egress: (policy.direction + direction.size * direction_index.EGRESS) / WORD_BYTES,
  ingress: (policy.direction + direction.size * direction_index.INGRESS) / WORD_BYTES,
} as const;

/** Words of struct line; its classes are of 16 bits. */
export const LINE_WORDS = line.size / WORD_BYTES;
export const LINE_CODES = line.codes / WORD_BYTES;
export const LINE_LONGS = line.longs / WORD_BYTES;
export const LINE_CLASSES = line.classes / 2;

/** Words of struct wide_root. */
export const WIDE_LAST = wide_root.last / WORD_BYTES;

/** Words of struct direction. */
export const ROW_BASE = direction.row_base / WORD_BYTES;
export const COL_BASE = direction.col_base / WORD_BYTES;
export const CELL_BASE = direction.cell_base / WORD_BYTES;
export const COLS = direction.cols / WORD_BYTES;
export const RULE_BASE = direction.rule_base / WORD_BYTES;
export const DEFAULT_RULE = direction.default_rule / WORD_BYTES;
export const UNPARSABLE_RULE = direction.unparsable_rule / WORD_BYTES;
export const DIRECTION_FLAGS = direction.flags / WORD_BYTES;

export const ACTION_CODE = {
  allow: action.ACTION_ALLOW,
  drop: action.ACTION_DROP,
  reject: action.ACTION_REJECT,
} as const;

export const LOG_CODE = {
  none: log_level.LOG_NONE,
  denied: log_level.LOG_DENIED,
  new: log_level.LOG_NEW,
  all: log_level.LOG_ALL,
} as const;
