/** How many of `count` voters decide: any two such groups share a voter. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** The largest value that a majority of the voters has reached, given what each has reached. */
export function reachedByMajority(values: readonly number[]): number {
  if (values.length === 0) return Number.NEGATIVE_INFINITY;
  const falling = [...values].sort((one, other) => (one < other ? 1 : one > other ? -1 : 0));
  return falling[majorityOf(values.length) - 1];
}
