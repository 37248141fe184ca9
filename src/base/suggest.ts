// "Did you mean": the nearest allowed word, and words quoted for messages.

const MAX_CANDIDATES = 1000;
const MAX_WORD = 64;
const MAX_EDITS = 3;

/**
 * The candidate nearest to a word, if it is near enough to be what was meant:
 * one edit for words up to 4 letters, two up to 8, else three; letters left off
 * its end are one edit. Letter case counts for nothing. More than 1,000 candidates are not searched, so that a
 * file full of mistakes costs no more than one.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = word.length <= 4 ? 1.5 : word.length <= 8 ? 2.5 : 3.5;
  let seen = 0;
  for (const candidate of candidates) {
    if (++seen > MAX_CANDIDATES) break;
    if (Math.abs(candidate.length - word.length) > MAX_EDITS) continue;
    const other = candidate.toLowerCase();
    const distance = lower.length >= 3 && other.startsWith(lower) ? 1 : editDistance(lower, other);
    if (distance < bestDistance && distance < candidate.length)
      [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Edits between two words: insert, delete, replace, or swap two neighbours. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** A user's word for a message: escaped so that it cannot move a terminal, and cut at 60 characters. */
export function quote(word: string): string {
  const cut = word.length > 60 ? `${word.slice(0, 57)}...` : word;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    escapeUnit,
  );
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
