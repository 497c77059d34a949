// Positions whose low half follows from their high half, so that a mixture of two shows.

const STEP = 2 ** 32;

function lowOf(high: number): number {
  return Math.imul(high + 1, 0x9e37_79b1) >>> 0;
}

export function consistentPosition(high: number): number {
  return high * STEP + lowOf(high);
}

export function isConsistent(position: number): boolean {
  const high = Math.floor(position / STEP);
  return position - high * STEP === lowOf(high);
}
