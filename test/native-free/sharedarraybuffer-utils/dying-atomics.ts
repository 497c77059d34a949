// A thread's death at a chosen instruction, played in one thread: Atomics throws instead of doing its n-th
// write, so everything before it has happened and nothing after it.

class Death extends Error {}

const WRITES = ['store', 'exchange', 'notify'] as const;

/** Runs the action, which dies after this many atomic writes; returns whether it died. */
export function dyingAtomics(survived: number, action: () => void): boolean {
  let left = survived;
  const originals = WRITES.map((name) => Reflect.get(Atomics, name));
  for (const [place, name] of WRITES.entries()) {
    const mortal = (...parameters: unknown[]): unknown => {
      if (left === 0) throw new Death();
      left -= 1;
      return Reflect.apply(originals[place], Atomics, parameters);
    };
    Reflect.set(Atomics, name, mortal);
  }
  try {
    action();
    return false;
  } catch (error) {
    if (!(error instanceof Death)) throw error;
    return true;
  } finally {
    for (const [place, name] of WRITES.entries()) Reflect.set(Atomics, name, originals[place]);
  }
}
