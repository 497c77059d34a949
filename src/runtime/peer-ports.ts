import type { Port } from './surroundings.ts';

/** A connection for each pair of brokers: by broker id, its ports by peer id. */
export function connectPeers(
  ids: readonly number[],
  connect: () => readonly [Port, Port],
): Map<number, Map<number, Port>> {
  const ports = new Map<number, Map<number, Port>>();
  for (const id of ids) ports.set(id, new Map());
  for (const [index, one] of ids.entries()) {
    for (const other of ids.slice(index + 1)) {
      const [port, theirs] = connect();
      ports.get(one)?.set(other, port);
      ports.get(other)?.set(one, theirs);
    }
  }
  return ports;
}
