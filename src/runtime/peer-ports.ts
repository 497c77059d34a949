import { MessageChannel, type MessagePort } from 'node:worker_threads';

/** A message channel for each pair of brokers: by broker id, its ports by peer id. */
export function connectPeers(ids: readonly number[]): Map<number, Map<number, MessagePort>> {
  const ports = new Map<number, Map<number, MessagePort>>();
  for (const id of ids) ports.set(id, new Map());
  for (const [index, one] of ids.entries()) {
    for (const other of ids.slice(index + 1)) {
      const { port1, port2 } = new MessageChannel();
      ports.get(one)?.set(other, port1);
      ports.get(other)?.set(one, port2);
    }
  }
  return ports;
}
