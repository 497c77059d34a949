// `npm run sim -- --planted`: how soon the simulator notices what the product does wrong in one line.
import { FAULT_SEEDS_MAX, type Finding, findFault } from './fault-run.ts';
import type { Kind } from './kinds.ts';
import { clusterFaults, type PlantedFault, plantedFaults } from './planted-faults.ts';

const FAULTS: Readonly<Record<Kind, readonly PlantedFault[]>> = {
  quorum: plantedFaults,
  cluster: clusterFaults,
};

/** Plants one fault after the other, of those whose names have one of `parts` in them. A line for each. */
export async function lookForFaults(
  kinds: readonly Kind[],
  parts: readonly string[],
  print: (line: string) => void,
): Promise<number> {
  const wanted = kinds.flatMap((kind) =>
    FAULTS[kind]
      .filter(({ name }) => parts.length === 0 || parts.some((part) => name.includes(part)))
      .map(({ name }) => ({ kind, name })),
  );
  if (wanted.length === 0) throw new Error(`No planted fault has ${parts.join(' or ')} in its name.`);
  const width = Math.max(...wanted.map(({ name }) => name.length));
  print(`kind    ${'fault'.padEnd(width)} seed   time  what is violated`);
  let found = 0;
  for (const { kind, name } of wanted) {
    const startedMs = performance.now();
    const finding = await findFault(kind, name);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    if (finding !== undefined) found += 1;
    print(`${kind.padEnd(7)} ${name.padEnd(width)} ${describe(finding, seconds)}`);
  }
  print(`${found} of ${wanted.length} planted faults were found, each within ${FAULT_SEEDS_MAX} seeds.`);
  return found === wanted.length ? 0 : 1;
}

function describe(finding: Finding | undefined, seconds: string): string {
  const { seed = '-', invariant = 'NOT FOUND' } = finding ?? {};
  return `${String(seed).padStart(4)} ${`${seconds} s`.padStart(7)}  ${invariant}`;
}
