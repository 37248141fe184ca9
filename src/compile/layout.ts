// Constants of the table layout (bpf/abi.h), as the compiler and its readers use them.

export const BLOCK_SIZE = 4096;

/** First IPv6 entry in `roots`. */
export const ROOTS6 = 65536;
/** First node entry in `roots`. */
export const NODES = 131072;
export const NODE_SIZE = 256;
/** In a root's count: `first` is the number of a node. */
export const ROOT_NODE = 0x80000000;

export const POLICY_AUDIT = 1;
export const POLICY_RAW_DENY = 2;
export const DIRECTION_OPEN = 1;

/** 32-bit words in struct policy, and where its directions begin. */
export const POLICY_WORDS = 18;
export const DIRECTION_WORDS = 8;

/** Word of struct policy at which a direction begins. */
export const DIRECTION_OFFSET = { egress: 2, ingress: 2 + DIRECTION_WORDS } as const;

/** Words of struct direction, in order. */
export const ROW_BASE = 0;
export const COL_BASE = 1;
export const CELL_BASE = 2;
export const COLS = 3;
export const RULE_BASE = 4;
export const DEFAULT_RULE = 5;
export const UNPARSABLE_RULE = 6;
export const DIRECTION_FLAGS = 7;

export const ACTION_CODE = { allow: 0, drop: 1, reject: 2 } as const;
export const LOG_CODE = { none: 0, denied: 1, new: 2, all: 3 } as const;
