import { isUtf8 } from 'node:buffer';
import { show, TidemarkError } from '../../errors.ts';
import { PARTITIONS_A_TOPIC_MAX, PARTITIONS_MAX } from '../../limits.ts';
import { BROKER_ID_MAX, CLUSTER_ID, RACK, UUID } from './patterns.ts';
import { ALL_BROKERS, METADATA_VERSION, type MetadataRecord, type PartitionRecord } from './records.ts';

/** What a value must be, in words, or undefined where it is that. */
type Check = (value: unknown) => string | undefined;
type Fields = { readonly [name: string]: Check };

const EPOCH_MAX = 2 ** 31 - 1;
const PROPERTY = /^[a-z0-9.-]{1,100}$/;

const brokerId = integer(1, BROKER_ID_MAX);
const uuid = text(UUID);
const counter = integer(0);
const epoch = integer(0, EPOCH_MAX);
const partitionId = integer(0, PARTITIONS_MAX - 1);
const leader: Check = (value) => (value === -1 ? undefined : brokerId(value));
const state = oneOf(['fenced', 'active', 'shutting-down']);

/** Every field of every record, in the order in which they are kept. */
const fieldsByType: { readonly [type in MetadataRecord['type']]: Fields } = {
  cluster: { clusterId: text(CLUSTER_ID), version: integer(1) },
  broker: { id: brokerId, epoch: counter, directoryId: uuid, rack: orNull(text(RACK)), state },
  'broker-state': { id: brokerId, epoch: counter, state },
  'broker-removed': { id: brokerId, epoch: counter },
  'broker-config': { id: (value) => (value === ALL_BROKERS ? undefined : brokerId(value)), config },
  topic: { name: text(/^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/), topicId: uuid, config },
  'topic-config': { topicId: uuid, config },
  'topic-removed': { topicId: uuid },
  partition: {
    id: partitionId,
    topicId: uuid,
    partition: integer(0, PARTITIONS_A_TOPIC_MAX - 1),
    replicas: brokers(1),
    isr: brokers(1),
    leader,
    leaderEpoch: epoch,
    partitionEpoch: epoch,
    eligible: orAbsent(brokers(1)),
    adding: orAbsent(brokers(1)),
    removing: orAbsent(brokers(1)),
    throttle: orAbsent(integer(1)),
    lostDirectory: orAbsent(uuid),
  },
  'partition-change': {
    id: partitionId,
    partitionEpoch: epoch,
    replicas: orAbsent(brokers(1)),
    isr: orAbsent(brokers(1)),
    leader: orAbsent(leader),
    eligible: orAbsent(brokers(0)),
    adding: orAbsent(brokers(0)),
    removing: orAbsent(brokers(0)),
    throttle: orAbsent(orNull(integer(1))),
    lostDirectory: orAbsent(orNull(uuid)),
  },
  'producer-ids': {
    broker: brokerId,
    brokerEpoch: counter,
    first: counter,
    count: integer(1, EPOCH_MAX),
  },
  ids: { nextPartition: integer(0, PARTITIONS_MAX), nextBrokerEpoch: counter, nextProducerId: counter },
};

/** Reads what encodeRecords wrote, which may be damaged in any way; `where` names the file and place for people. */
export function decodeRecords(bytes: Uint8Array, where: string): MetadataRecord[] {
  if (!isUtf8(bytes)) throw damaged(where, 'it is no UTF-8');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch (cause) {
    throw damaged(where, `it is no JSON: ${(cause as Error).message}`, cause);
  }
  if (!Array.isArray(parsed)) throw damaged(where, `it is no list of records, but ${show(parsed)}`);
  return parsed.map((value, n) => recordOf(where, n, value));
}

function recordOf(where: string, n: number, value: unknown): MetadataRecord {
  if (!isObject(value)) throw damaged(where, `record ${n} must be an object; it is ${show(value)}`);
  const { type } = value;
  if (typeof type !== 'string') {
    throw damaged(where, `the type of record ${n} must be a text; it is ${show(type)}`);
  }
  if (!Object.hasOwn(fieldsByType, type)) throw newer(where, `record ${n} is of type ${show(type)}`);
  const fields = fieldsByType[type as MetadataRecord['type']];
  for (const name of Object.keys(value)) {
    if (name !== 'type' && !Object.hasOwn(fields, name)) {
      throw newer(where, `record ${n} (${type}) has a field ${show(name)}`);
    }
  }
  const record: Record<string, unknown> = { type };
  for (const name of Object.keys(fields)) {
    const field = value[name];
    const expected = fields[name](field);
    if (expected !== undefined) {
      throw damaged(where, `${name} of record ${n} (${type}) must be ${expected}; it is ${show(field)}`);
    }
    if (field !== undefined) record[name] = field;
  }
  if (type === 'cluster' && (record.version as number) > METADATA_VERSION) {
    throw newer(where, `record ${n} begins a cluster of version ${record.version}`);
  }
  const fault = type === 'partition' ? partitionFault(record as unknown as PartitionRecord) : undefined;
  if (fault !== undefined) throw damaged(where, `record ${n} (partition): ${fault}`);
  return record as unknown as MetadataRecord;
}

/** What no single field shows. */
function partitionFault(record: PartitionRecord): string | undefined {
  const { replicas, isr, leader: led, eligible = [], adding = [], removing = [] } = record;
  if (!isr.every((broker) => replicas.includes(broker))) return 'its ISR must be some of its replicas';
  if (led !== -1 && !isr.includes(led)) return 'its leader must be in its ISR';
  if (![...adding, ...removing].every((broker) => replicas.includes(broker))) {
    return 'what is added or removed must be among its replicas';
  }
  if (!eligible.every((broker) => replicas.includes(broker) && !isr.includes(broker))) {
    return 'who is eligible must be among its replicas, and not in its ISR';
  }
  return undefined;
}

function integer(min: number, max = Number.MAX_SAFE_INTEGER): Check {
  return (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? undefined
      : `a whole number from ${min} to ${max}`;
}

function text(pattern: RegExp): Check {
  return (value) =>
    typeof value === 'string' && pattern.test(value) ? undefined : `a text that matches ${pattern}`;
}

function oneOf(choices: readonly string[]): Check {
  return (value) => (choices.includes(value as string) ? undefined : `one of ${choices.join(', ')}`);
}

function brokers(atLeast: number): Check {
  return (value) =>
    Array.isArray(value) &&
    value.length >= atLeast &&
    value.every((id, n) => brokerId(id) === undefined && value.indexOf(id) === n)
      ? undefined
      : `a list of at least ${atLeast} different brokers`;
}

function config(value: unknown): string | undefined {
  const isSound =
    isObject(value) &&
    Object.entries(value).every(
      ([name, each]) => PROPERTY.test(name) && (typeof each === 'string' || Number.isFinite(each)),
    );
  return isSound ? undefined : 'an object of texts and numbers by names of properties';
}

function orNull(check: Check): Check {
  return (value) => {
    const expected = value === null ? undefined : check(value);
    return expected === undefined ? undefined : `${expected}, or null`;
  };
}

function orAbsent(check: Check): Check {
  return (value) => (value === undefined ? undefined : check(value));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function damaged(where: string, what: string, cause?: unknown): TidemarkError {
  return new TidemarkError(
    'DATA_DIRECTORY_INVALID',
    `The metadata in ${where} is damaged: ${what}. Restore it from a copy, or from another broker's directory; the records of topics are untouched.`,
    { cause },
  );
}

function newer(where: string, what: string): TidemarkError {
  return new TidemarkError(
    'DATA_DIRECTORY_INVALID',
    `The metadata in ${where} is of a newer Tidemark: ${what}, which this version does not know. Start the newer one, or use another directory.`,
  );
}
