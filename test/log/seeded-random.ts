/** Whole numbers from 0 up to, and without, `below`. */
export type Random = (below: number) => number;

/** The same numbers on every machine for a seed, by Marsaglia's xorshift. */
export function seededRandom(seed: number): Random {
  // Seeds that lie close together would begin alike, and zero would stay zero.
  let state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let n = 0; n < 8; n++) next();
  return (below) => next() % below;
}
