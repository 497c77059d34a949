const FIRST_MS = 10;
const LONGEST_MS = 1_000;
/** So much earlier or later, by chance: those who have failed together do not come back together. */
const SPREAD = 0.2;

/** How long to wait before the next try after so many that have failed; `random` is from 0 up to 1. */
export function backoffMs(failures: number, random: number): number {
  const doubled = FIRST_MS * 2 ** Math.min(failures - 1, 10);
  return Math.min(doubled, LONGEST_MS) * (1 + SPREAD * (2 * random - 1));
}
