import { MessageChannel, type MessagePort } from 'node:worker_threads';

/** A message channel for each pair of brokers: by broker id, its ports by peer id. */
export function connectPeers(count: number): Map<number, Map<number, MessagePort>> {
  const ports = new Map<number, Map<number, MessagePort>>();
  for (let id = 1; id <= count; id++) ports.set(id, new Map());
  for (let one = 1; one <= count; one++) {
    for (let other = one + 1; other <= count; other++) {
      const { port1, port2 } = new MessageChannel();
      ports.get(one)?.set(other, port1);
      ports.get(other)?.set(one, port2);
    }
  }
  return ports;
}
