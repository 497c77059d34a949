import { encodeRecords, type MetadataRecord } from '../../src/core/metadata/records.ts';
import { encodeConfiguration } from '../../src/core/raft/configuration.ts';
import type { Entry, Persist } from '../../src/core/raft/index.ts';
import type { QuorumStore } from '../../src/log/quorum-store.ts';

/** What a step asks for, but for what a test sets. */
export function persistOf(given: Partial<Persist>): Persist {
  return {
    hardState: undefined,
    snapshot: undefined,
    restartAt: undefined,
    truncateFrom: undefined,
    entries: [],
    firstIndex: undefined,
    ...given,
  };
}

export function dataEntry(index: number, term: number, records: readonly MetadataRecord[]): Entry {
  return { index, term, kind: 'data', data: encodeRecords(records) };
}

/** Entries of one term, as a leader makes them: its beginning, then one for each list of records. */
export async function writeEntries(
  store: QuorumStore,
  term: number,
  firstIndex: number,
  ...data: (readonly MetadataRecord[])[]
): Promise<void> {
  const noop: Entry = { index: firstIndex, term, kind: 'noop', data: new Uint8Array(0) };
  const entries = [noop, ...data.map((records, n) => dataEntry(firstIndex + 1 + n, term, records))];
  await store.persist(persistOf({ hardState: { term, vote: undefined }, entries }));
}

export function configEntry(index: number, term: number, voters: readonly number[]): Entry {
  const members = voters.map((id) => ({ id, directoryId: 'A'.repeat(22) }));
  return { index, term, kind: 'config', data: encodeConfiguration({ voters: members }) };
}

/** The records of a cluster with one broker, and a topic of one partition. */
export function clusterRecords(clusterId: string): MetadataRecord[] {
  return [
    { type: 'cluster', clusterId, version: 1 },
    { type: 'broker', id: 1, epoch: 0, directoryId: 'A'.repeat(22), rack: null, state: 'active' },
  ];
}

export function topicRecords(
  n: number,
  config: Record<string, string> = {},
  name = `t${n}`,
): MetadataRecord[] {
  const topicId = String(n).padStart(22, 'A');
  return [
    { type: 'topic', name, topicId, config },
    {
      type: 'partition',
      id: n,
      topicId,
      partition: 0,
      replicas: [1],
      isr: [1],
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
    },
  ];
}
