// What must not be found in a history, in the manner of Jepsen's Kafka workload. Nothing here knows of clusters.
import { type FinalLog, type History, nameOf, type Poll, type WriterSetup, writerOf } from './history.ts';

export type AnomalyKind =
  /** Acknowledged with acks all, and not in the log, which goes on behind its place. */
  | 'lost-write'
  /** Acknowledged with acks all, and the log ends before its place. */
  | 'unseen'
  /** One value of an idempotent writer at two offsets. */
  | 'duplicate'
  /** Two values at one offset, in the eyes of whoever has read or was answered. */
  | 'inconsistent-offset'
  /** A value that nobody has sent. */
  | 'phantom'
  /** A reader was given records that lie before those it had, or before what it asked for. */
  | 'non-monotonic-poll'
  /** A reader was led past a record without being given it. */
  | 'skipped'
  /** An idempotent writer's records in another order than it sent them. */
  | 'reordered'
  /** A log with an offset twice, out of order, or at or above the HWM. */
  | 'broken-log';

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly partition: number;
  readonly sentence: string;
}

/** What is known of one partition. */
interface Partition {
  readonly id: number;
  /** By offset: the value of the log at the end. */
  readonly final: Map<number, number>;
  /** By value: where the log has it at the end, the first time. */
  readonly places: Map<number, number>;
  /** By offset: a value that somebody was told is there, and who that was. */
  readonly told: Map<number, { readonly value: number; readonly by: string }>;
  end: number;
}

/** All that is wrong with a history, the gravest kinds first for each partition. */
export function check(history: History): Anomaly[] {
  const found: Anomaly[] = [];
  const writers = new Map(history.writers.map((writer) => [writer.id, writer]));
  const partitions = new Map<number, Partition>();
  const partitionOf = (id: number): Partition => {
    let partition = partitions.get(id);
    if (partition === undefined) {
      partition = { id, final: new Map(), places: new Map(), told: new Map(), end: 0 };
      partitions.set(id, partition);
    }
    return partition;
  };
  const isOnce = (value: number): boolean => writers.get(writerOf(value))?.isIdempotent !== false;
  for (const log of history.logs) found.push(...readLog(log, partitionOf(log.partition), isOnce));
  found.push(...acrossPartitions(partitions.values(), isOnce));
  for (const partition of partitions.values()) {
    found.push(...phantoms(partition, history.begun));
    found.push(...reordered(partition, writers));
  }
  found.push(...acknowledgements(history, writers, partitionOf));
  for (const poll of history.polls) found.push(...ofPoll(poll, partitionOf(poll.partition), history.begun));
  return found;
}

function readLog(log: FinalLog, partition: Partition, isOnce: (value: number) => boolean): Anomaly[] {
  const found: Anomaly[] = [];
  partition.end = log.hwm;
  let before = -1;
  for (const [n, offset] of log.offsets.entries()) {
    const value = log.values[n];
    if (offset <= before || offset >= log.hwm)
      found.push({
        kind: 'broken-log',
        partition: partition.id,
        sentence: `the log of partition ${partition.id} has offset ${offset} after ${before}, with a HWM of ${log.hwm}`,
      });
    before = offset;
    const other = partition.places.get(value);
    if (other === undefined) partition.places.set(value, offset);
    else if (isOnce(value)) found.push(twice(partition.id, value, other, offset));
    partition.final.set(offset, value);
  }
  return found;
}

function twice(partition: number, value: number, one: number, other: number): Anomaly {
  const sentence = `${nameOf(value)} is at the offsets ${one} and ${other} of partition ${partition}`;
  return { kind: 'duplicate', partition, sentence };
}

function acrossPartitions(partitions: Iterable<Partition>, isOnce: (value: number) => boolean): Anomaly[] {
  const found: Anomaly[] = [];
  const homes = new Map<number, Partition>();
  for (const partition of partitions) {
    for (const [value, offset] of partition.places) {
      const other = homes.get(value);
      homes.set(value, partition);
      if (other === undefined || !isOnce(value)) continue;
      const where = `at ${other.places.get(value)} of partition ${other.id} and at ${offset} of partition ${partition.id}`;
      found.push({
        kind: 'duplicate',
        partition: partition.id,
        sentence: `${nameOf(value)} is twice, ${where}`,
      });
    }
  }
  return found;
}

function isBegun(value: number, begun: History['begun']): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value % 2 ** 32 < (begun.get(writerOf(value)) ?? 0);
}

function phantoms(partition: Partition, begun: History['begun']): Anomaly[] {
  const found: Anomaly[] = [];
  for (const [offset, value] of partition.final) {
    if (isBegun(value, begun)) continue;
    const sentence = `partition ${partition.id} has ${nameOf(value)} at ${offset}, which nobody has sent`;
    found.push({ kind: 'phantom', partition: partition.id, sentence });
  }
  return found;
}

function reordered(partition: Partition, writers: ReadonlyMap<number, WriterSetup>): Anomaly[] {
  const found: Anomaly[] = [];
  const latest = new Map<number, number>();
  for (const [offset, value] of partition.final) {
    const writer = writerOf(value);
    if (writers.get(writer)?.isIdempotent !== true) continue;
    const before = latest.get(writer) ?? -1;
    // The same one once more is a duplicate, and told as such.
    if (value < before) {
      const sentence = `partition ${partition.id} has ${nameOf(value)} at ${offset}, behind ${nameOf(before)}`;
      found.push({ kind: 'reordered', partition: partition.id, sentence });
    }
    latest.set(writer, Math.max(before, value));
  }
  return found;
}

function acknowledgements(
  { acknowledged }: History,
  writers: ReadonlyMap<number, WriterSetup>,
  partitionOf: (id: number) => Partition,
): Anomaly[] {
  const found: Anomaly[] = [];
  for (const { value, partition: id, offset } of acknowledged) {
    // What one replica alone has acknowledged may be gone, and another record in its place.
    if (writers.get(writerOf(value))?.acks !== 'all') continue;
    const partition = partitionOf(id);
    const by = 'its acknowledgement';
    const there = partition.final.get(offset);
    const place = partition.places.get(value);
    found.push(...tell(partition, offset, value, by));
    if (there === value) continue;
    const sentence = `${nameOf(value)} was acknowledged at ${offset} of partition ${id}`;
    if (place !== undefined)
      found.push({
        kind: 'inconsistent-offset',
        partition: id,
        sentence: `${sentence}, and the log has it at ${place}`,
      });
    else if (offset >= partition.end)
      found.push({
        kind: 'unseen',
        partition: id,
        sentence: `${sentence}, and the log ends at ${partition.end}`,
      });
    else
      found.push({
        kind: 'lost-write',
        partition: id,
        sentence: `${sentence}, and the log has ${there === undefined ? 'nothing' : nameOf(there)} there`,
      });
  }
  return found;
}

/** Somebody was told that this value is at this offset: whoever was told before must have heard the same. */
function tell(partition: Partition, offset: number, value: number, by: string): Anomaly[] {
  const before = partition.told.get(offset);
  if (before === undefined) {
    partition.told.set(offset, { value, by });
    return [];
  }
  if (before.value === value) return [];
  const sentence = `offset ${offset} of partition ${partition.id} has ${nameOf(before.value)} by ${before.by}, and ${nameOf(value)} by ${by}`;
  return [{ kind: 'inconsistent-offset', partition: partition.id, sentence }];
}

function ofPoll(poll: Poll, partition: Partition, begun: History['begun']): Anomaly[] {
  const { reader, from, next, offsets, values } = poll;
  const found: Anomaly[] = [];
  const add = (kind: AnomalyKind, sentence: string): void => {
    found.push({
      kind,
      partition: partition.id,
      sentence: `${reader}, partition ${partition.id}: ${sentence}`,
    });
  };
  let before = from - 1;
  const seen = new Set<number>();
  for (const [n, offset] of offsets.entries()) {
    const value = values[n];
    if (offset <= before) add('non-monotonic-poll', `asked for ${from} and got ${offset} after ${before}`);
    before = Math.max(before, offset);
    seen.add(offset);
    if (!isBegun(value, begun)) add('phantom', `got ${nameOf(value)} at ${offset}, which nobody has sent`);
    const there = partition.final.get(offset);
    found.push(...tell(partition, offset, value, reader));
    if (there === undefined)
      add('lost-write', `got ${nameOf(value)} at ${offset}, where the log has nothing`);
    else if (there !== value)
      add('inconsistent-offset', `got ${nameOf(value)} at ${offset}, where the log has ${nameOf(there)}`);
  }
  if (next < before + 1 || next < from)
    add('non-monotonic-poll', `asked for ${from}, got up to ${before}, and is to go on at ${next}`);
  for (let offset = from; offset < next; offset++) {
    const value = partition.final.get(offset);
    if (value !== undefined && !seen.has(offset))
      add('skipped', `asked for ${from}, goes on at ${next}, and never got ${nameOf(value)} at ${offset}`);
  }
  return found;
}
