import { murmur2, toPositive } from '../../native-free/murmur2/index.ts';

const encoder = new TextEncoder();

/** Where a record with a key goes: the same partition as with every Kafka client, for the same key. */
export function partitionOfKey(key: Uint8Array | string, partitions: number): number {
  if (partitions === 1) return 0;
  return toPositive(murmur2(typeof key === 'string' ? encoder.encode(key) : key)) % partitions;
}
