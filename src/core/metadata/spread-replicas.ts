import { placeReplicas } from '../placement.ts';

/**
 * Replica lists of new partitions: as placeReplicas has them, but on as many racks as possible. Each next replica goes
 * to the broker that placeReplicas would take next, among those whose rack has the fewest replicas yet. A broker of
 * which no rack is known stands in one of its own.
 */
export function spreadReplicas(
  brokers: readonly { readonly id: number; readonly rack: string | null }[],
  partitions: number,
  replicationFactor: number,
  first: number,
): number[][] {
  const ids = brokers.map(({ id }) => id);
  if (brokers.every(({ rack }) => rack === null)) {
    return placeReplicas(ids, partitions, replicationFactor, first);
  }
  const racks = new Map<number, string | number>(brokers.map(({ id, rack }) => [id, rack ?? id]));
  return placeReplicas(ids, partitions, ids.length, first).map((line) =>
    pick(line, replicationFactor, racks),
  );
}

function pick(line: readonly number[], count: number, racks: ReadonlyMap<number, string | number>): number[] {
  const rest = [...line];
  const replicas = new Map<string | number, number>();
  const on = (id: number): number => replicas.get(racks.get(id) as string | number) ?? 0;
  const picked: number[] = [];
  while (picked.length < count) {
    let best = 0;
    for (let n = 1; n < rest.length && on(rest[best]) > 0; n++) if (on(rest[n]) < on(rest[best])) best = n;
    const [id] = rest.splice(best, 1);
    replicas.set(racks.get(id) as string | number, on(id) + 1);
    picked.push(id);
  }
  return picked;
}
