// Sets of addresses as sorted ranges: the form in which all address sets travel.

/**
 * Disjoint, sorted, merged (never adjacent) inclusive ranges.
 * `v4` holds pairs [first, last] of host-order addresses; `v6` holds groups of
 * eight words: first (4 words, most significant first), last (4 words).
 */
export interface AddressRanges {
  readonly v4: Uint32Array;
  readonly v6: Uint32Array;
}

export const NO_ADDRESSES: AddressRanges = { v4: new Uint32Array(0), v6: new Uint32Array(0) };
