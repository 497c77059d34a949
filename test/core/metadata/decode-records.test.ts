import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeRecords } from '../../../src/core/metadata/decode-records.ts';
import { encodeRecords, type MetadataRecord } from '../../../src/core/metadata/records.ts';
import { TidemarkError } from '../../../src/errors.ts';
import { refusal } from '../../client/refusals.ts';
import { directoryOf, uuidOf } from './fixtures.ts';

const topicId = uuidOf('topic');

/** One of each, with all that it can have. */
const all: readonly MetadataRecord[] = [
  { type: 'cluster', clusterId: 'c', version: 1 },
  { type: 'broker', id: 1, epoch: 0, directoryId: directoryOf(1), rack: 'a', state: 'active' },
  { type: 'broker', id: 2, epoch: 1, directoryId: directoryOf(2), rack: null, state: 'shutting-down' },
  { type: 'broker-state', id: 1, epoch: 0, state: 'fenced' },
  { type: 'broker-removed', id: 1, epoch: 0 },
  { type: 'broker-config', id: -1, config: { 'retention.ms': 5 } },
  { type: 'topic', name: 'a.b_c-D', topicId, config: { 'cleanup.policy': 'compact', 'retention.ms': 0.5 } },
  { type: 'topic-config', topicId, config: {} },
  { type: 'topic-removed', topicId },
  {
    type: 'partition',
    id: 3,
    topicId,
    partition: 0,
    replicas: [2, 1],
    isr: [1],
    leader: -1,
    leaderEpoch: 7,
    partitionEpoch: 9,
    eligible: [2],
    adding: [1],
    removing: [2],
    throttle: 1_000_000,
    lostDirectory: directoryOf(1),
  },
  {
    type: 'partition-change',
    id: 3,
    partitionEpoch: 10,
    replicas: [1],
    isr: [1],
    leader: 1,
    eligible: [],
    adding: [],
    removing: [],
    throttle: null,
    lostDirectory: null,
  },
  { type: 'producer-ids', broker: 1, brokerEpoch: 0, first: 0, count: 1_000 },
  { type: 'ids', nextPartition: 4, nextBrokerEpoch: 2, nextProducerId: 1_000 },
];

function decode(records: unknown): MetadataRecord[] {
  return decodeRecords(Buffer.from(JSON.stringify(records)), 'entry 7 of /data/log');
}

function refused(records: unknown, sentence: RegExp): void {
  assert.throws(
    () => decode(records),
    refusal('DATA_DIRECTORY_INVALID', sentence),
    `${JSON.stringify(records)} should be refused by ${sentence}`,
  );
}

test('what was encoded is decoded as it was, wherever its bytes lie', () => {
  assert.equal(decodeRecords(encodeRecords(all), 'here'), all);
  const bytes = encodeRecords(all);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 9), 5, bytes.length);
  shared.set(bytes);
  assert.equal(decodeRecords(shared, 'here'), all);
  assert.equal(decodeRecords(encodeRecords([]), 'here'), []);
});

test('a record of a type, a field or a version that only a newer Tidemark knows is refused', () => {
  const newer = /in entry 7 of \/data\/log is of a newer Tidemark: .*Start the newer one/;
  refused([...all, { type: 'quota', id: 1 }], newer);
  refused([{ type: 'toString' }], newer);
  refused([{ ...all[0], version: 2 }], newer);
  for (const record of all) refused([{ ...record, colour: 1 }], newer);
});

test('no field can be left out or be of another kind', () => {
  const both = ['eligible', 'adding', 'removing', 'throttle', 'lostDirectory'];
  const optional: Record<string, readonly string[]> = {
    partition: both,
    'partition-change': ['replicas', 'isr', 'leader', ...both],
  };
  for (const record of all) {
    for (const name of Object.keys(record)) {
      if (name === 'type') continue;
      for (const wrong of [true, { a: [] }, [[]], 'with spaces ', -7, 1.5, 2 ** 60, [1, 1], [0]]) {
        // A rack may be nearly any text.
        if (name === 'rack' && typeof wrong === 'string') continue;
        refused(
          [{ ...record, [name]: wrong }],
          new RegExp(`${name} of record 0 \\(${record.type}\\) must be`),
        );
      }
      const { [name as 'type']: _, ...rest } = record;
      if (optional[record.type]?.includes(name)) assert.equal(decode([rest]), [rest]);
      else refused([rest], new RegExp(`${name} of record 0`));
    }
  }
});

test('a partition whose parts do not go together is refused', () => {
  const partition = all.find(({ type }) => type === 'partition');
  refused([{ ...partition, isr: [3] }], /its ISR must be some of its replicas/);
  refused([{ ...partition, leader: 2 }], /its leader must be in its ISR/);
  refused([{ ...partition, adding: [3] }], /must be among its replicas/);
  refused([{ ...partition, removing: [3] }], /must be among its replicas/);
  refused([{ ...partition, eligible: [3] }], /who is eligible must be among its replicas/);
  refused([{ ...partition, eligible: [1] }], /and not in its ISR/);
  refused([{ ...partition, isr: [] }], /isr .* at least 1 different brokers/);
});

test('what is no list of records at all is refused', () => {
  for (const value of [{}, 'text', 5, null]) refused(value, /is damaged: it is no list of records/);
  for (const value of [null, 5, [], 'text']) refused([value], /record 0 must be an object/);
  refused([{}], /type of record 0 must be a text/);
  const broken = (bytes: Uint8Array) => () => decodeRecords(bytes, 'here');
  assert.throws(broken(Buffer.from('[{')), refusal('DATA_DIRECTORY_INVALID', /it is no JSON/));
  assert.throws(broken(Buffer.from([0x5b, 0xff, 0x5d])), refusal('DATA_DIRECTORY_INVALID', /no UTF-8/));
  assert.throws(broken(new Uint8Array(0)), refusal('DATA_DIRECTORY_INVALID', /no JSON/));
});

test('a configuration with a name that reaches an object is refused', () => {
  const text = `[{"type":"topic-config","topicId":"${topicId}","config":{"__proto__":{}}}]`;
  const decoding = () => decodeRecords(Buffer.from(text), 'here');
  assert.throws(decoding, refusal('DATA_DIRECTORY_INVALID', /config of record 0/));
});

test('bytes that were changed are decoded or refused, and nothing else', () => {
  const whole = encodeRecords(all);
  const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(flips, (changes) => {
      const bytes = Uint8Array.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        assert.is(decodeRecords(bytes, 'here').length, all.length);
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
      }
    }),
    { numRuns: 2_000 },
  );
});

test.run();
