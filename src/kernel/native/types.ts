// What the kernel calls things, and our words for them.

/** Attach types by our own words; the numbers are enum bpf_attach_type. */
export const ATTACH_TYPES = {
  ingress: 0,
  egress: 1,
  sockCreate: 2,
  sockOps: 3,
  device: 6,
  bind4: 8,
  bind6: 9,
  connect4: 10,
  connect6: 11,
  postBind4: 12,
  postBind6: 13,
  sendmsg4: 14,
  sendmsg6: 15,
  sysctl: 18,
  recvmsg4: 19,
  recvmsg6: 20,
  getsockopt: 21,
  setsockopt: 22,
  getpeername4: 29,
  getpeername6: 30,
  getsockname4: 31,
  getsockname6: 32,
  sockRelease: 34,
  xdp: 37,
} as const;

export type AttachType = keyof typeof ATTACH_TYPES;

/** Program types that probes ask about; the numbers are enum bpf_prog_type. */
export const PROGRAM_TYPES = {
  xdp: 6,
  cgroup_skb: 8,
  cgroup_sock: 9,
  sock_ops: 13,
  sk_msg: 16,
  cgroup_sock_addr: 18,
  cgroup_sockopt: 25,
  syscall: 31,
} as const;

export type ProgramType = keyof typeof PROGRAM_TYPES;

/** Map types that can be created or probed; the numbers are enum bpf_map_type. */
export const MAP_TYPES = {
  hash: 1,
  array: 2,
  percpu_hash: 5,
  percpu_array: 6,
  lru_hash: 9,
  lpm_trie: 11,
  sockhash: 18,
  cgroup_storage: 19,
  sk_storage: 24,
  ringbuf: 27,
} as const;

export type MapType = keyof typeof MAP_TYPES;

/** BPF_F_MMAPABLE, for createMap. */
export const MMAPABLE = 1 << 10;
/** BPF_NOEXIST and BPF_EXIST, for BpfMap.update. */
export const NO_EXIST = 1;
export const EXIST = 2;

/** What statfsType answers for the file systems we care about. */
export const BPF_FS_MAGIC = 0xcafe4a11;
export const CGROUP2_MAGIC = 0x63677270;

export interface MapInfo {
  readonly id: number;
  /** libbpf's word: `array`, `percpu_array`, `ringbuf`, `cgroup_storage` ... */
  readonly type: string;
  readonly keySize: number;
  /** Bytes of one value on one CPU. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** At most 15 characters. */
  readonly name: string;
}

export type MapSpec = Omit<MapInfo, 'id' | 'name'>;

export interface ProgramInfo {
  readonly id: number;
  /** libbpf's word: `cgroup_skb`, `cgroup_sock_addr`, `syscall` ... */
  readonly type: string;
  /** At most 15 characters. */
  readonly name: string;
  /** 16 hexadecimal digits over the instructions; same code, same tag. */
  readonly tag: string;
  /** Nanoseconds since boot. */
  readonly loadedAt: bigint;
  readonly mapIds: readonly number[];
}

export interface LinkInfo {
  readonly id: number;
  /** The kernel's word: `cgroup`, `xdp`, `netns` ... */
  readonly type: string;
  readonly progId: number;
  /** 0n: not a cgroup link, or the cgroup is gone. */
  readonly cgroupId: bigint;
  /** Our word when we have one, else the kernel's number; -1: this type has none. */
  readonly attachType: AttachType | number;
  /** 0: not an XDP link, or the interface is gone. */
  readonly ifindex: number;
}

/** One file of a bpffs directory: a link, or why it could not be read as one. */
export type ListedLink =
  | {
      readonly name: string;
      readonly linkId: number;
      readonly type: string;
      readonly progId: number;
      readonly cgroupId: bigint;
      readonly attachType: AttachType | number;
      readonly ifindex: number;
      readonly error?: undefined;
    }
  /** `error` is a positive errno; EMEDIUMTYPE: it is pinned, but not a link. */
  | { readonly name: string; readonly error: number };

/** A network interface of this process's network namespace. */
export interface NetInterface {
  readonly ifindex: number;
  readonly name: string;
  /** `veth`, `vlan`, `bridge`, `bond` ...; '' for hardware and loopback. */
  readonly kind: string;
  readonly mtu: number;
  /** ifindex of the bridge, bond or team that it is a port of; 0 = none. */
  readonly master: number;
  /** ifindex of what it stands on (of a veth: its peer) in this namespace; 0 = none. */
  readonly lower: number;
  /** Ids of its XDP programs by mode; 0 = none. */
  readonly native: number;
  readonly generic: number;
  readonly offloaded: number;
}

export interface CgroupPrograms {
  /** Flags of the cgroup itself: 0 none or exclusive, 1 override, 2 multi. */
  readonly attachFlags: number;
  /** In the order in which they run. */
  readonly programs: readonly { readonly id: number; readonly attachFlags?: number }[];
}

export interface TestRunOptions {
  readonly ctx?: Uint8Array;
  readonly data?: Uint8Array;
  /** Times to run; 0 (once) is the only value for a syscall program. */
  readonly repeat?: number;
  readonly dataOutSize?: number;
  readonly ctxOutSize?: number;
}

export interface TestRunResult {
  readonly retval: number;
  /** Average over the repeats; 0 for a syscall program. */
  readonly durationNs: number;
  /** The context after the run: a syscall program's answer. */
  readonly ctx: Uint8Array;
  /** The packet after the run, as far as dataOutSize reaches. */
  readonly data: Uint8Array;
}

export interface LookupBatch {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
  /** For the next call; null: that was all. */
  readonly cursor: Uint8Array | null;
}

/** Records back to back without padding, and the length of each. */
export type OnBatch = (records: Uint8Array, sizes: Uint32Array) => void;
