import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkFields, checkRecord } from '../../src/client/record-check.ts';
import { BatchWriter } from '../../src/log/record-batch-writer.ts';
import type { RecordInput } from '../../src/types.ts';
import { refusal } from './refusals.ts';

const MAX_BYTES = 1_000;
const RULES = { maxBytes: MAX_BYTES, needsKey: false };

/** What a caller without types might pass. */
const anything = (record: unknown): RecordInput => record as RecordInput;

test('strings, bytes, null and nothing are good keys, values and header values', () => {
  const data = ['text', '', new Uint8Array(3), Buffer.from('b'), null, undefined];
  for (const key of data) {
    for (const value of data) {
      checkRecord({ key, value }, RULES);
      checkRecord(anything({ key, value, headers: { name: value } }), RULES);
      checkRecord(anything({ key, value, headers: [['name', value]], timestamp: 5 }), RULES);
    }
  }
  checkRecord({}, RULES);
  checkRecord({ value: 'v', headers: undefined, timestamp: undefined }, RULES);
  checkRecord({ value: 'v', timestamp: -1 }, RULES);
});

test('keys and values of other kinds are refused, with advice', () => {
  const wrong = [
    1,
    true,
    1n,
    {},
    [],
    Symbol('s'),
    () => 1,
    new Date(),
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(1)),
    new Uint16Array(2),
  ];
  for (const what of ['key', 'value']) {
    for (const data of wrong) {
      assert.throws(
        () => checkRecord(anything({ [what]: data }), RULES),
        refusal('INVALID_RECORD', new RegExp(`^A record's ${what} must be a Uint8Array.*JSON\\.stringify`)),
        `${what} ${String(data)}`,
      );
    }
  }
  assert.throws(
    () => checkRecord(anything({ value: 'v', headers: { name: 5 } }), RULES),
    refusal('INVALID_RECORD', /header value/),
  );
});

test('what is no record is refused', () => {
  for (const record of [null, undefined, 'value', 5, true, () => 1]) {
    assert.throws(
      () => checkRecord(anything(record), RULES),
      refusal('INVALID_RECORD', /must be an object with a value/),
      String(record),
    );
  }
});

test('a field that a record does not have is refused, with the one that was meant', () => {
  const wrong: [unknown, RegExp][] = [
    [{ val: 'x' }, /no field 'val'\. Did you mean 'value'\?/],
    [{ ky: 'k', value: 'x' }, /no field 'ky'\. Did you mean 'key'\?/],
    [{ value: 'x', header: {} }, /no field 'header'\. Did you mean 'headers'\?/],
    [{ id: 1, value: 'x' }, /no field 'id'\..* Known: key, value, headers, timestamp\./],
    [{ value: 'x', partition: 5 }, /no field 'partition'\. Records go where their key says/],
    [{ value: 'x', offset: 5 }, /no field 'offset'/],
    [{ value: 'x', topic: 't' }, /no field 'topic'/],
    [new Map([['value', 'x']]), /must be an object with a value; got Map/],
    [new Date(), /must be an object with a value; got Date/],
  ];
  for (const [record, sentence] of wrong) {
    const check = (): void => {
      checkRecord(anything(record), RULES);
      checkFields(anything(record));
    };
    assert.throws(check, refusal('INVALID_RECORD', sentence), JSON.stringify(record));
  }
});

test('what would be lost whole is found in every record', () => {
  for (const record of [{ val: 'x' }, { Value: 'x', key: 'k' }, { value: 'x', partition: 5 }]) {
    assert.throws(
      () => checkRecord(anything(record), RULES),
      refusal('INVALID_RECORD', /A record has no field/),
    );
  }
});

test('a record that was read is sent on as it is, and so is one of a class', () => {
  const read = { topic: 't', partition: 2, offset: 7, timestamp: 5, key: null, value: null, headers: [] };
  checkRecord(anything(read), RULES);
  checkFields(anything(read));
  class Made {
    readonly value = 'v';
    toString(): string {
      return 'made';
    }
  }
  checkRecord(new Made(), RULES);
  checkFields(new Made());
});

test('headers of a wrong shape are refused', () => {
  for (const headers of [null, 'name', 5, true, new Uint8Array(4)]) {
    assert.throws(
      () => checkRecord(anything({ value: 'v', headers }), RULES),
      refusal('INVALID_RECORD', /headers must be an object or an array/),
      String(headers),
    );
  }
  for (const pair of [
    null,
    'ab',
    ['name'],
    ['name', 'value', 'more'],
    [5, 'value'],
    [null, 'v'],
    { name: 'v' },
  ]) {
    assert.throws(
      () => checkRecord(anything({ value: 'v', headers: [pair] }), RULES),
      refusal('INVALID_RECORD', /header must be a pair/),
      String(pair),
    );
  }
});

test('timestamps are whole milliseconds', () => {
  for (const timestamp of [1.5, NaN, Infinity, '5', null, new Date(), 5n, 2 ** 53]) {
    assert.throws(
      () => checkRecord(anything({ value: 'v', timestamp }), RULES),
      refusal('INVALID_RECORD', /timestamp must be a whole number of milliseconds/),
      String(timestamp),
    );
  }
});

test('a record may take max.message.bytes as a batch of its own, and not one byte more', () => {
  // 61 bytes of batch header; body length 2, attributes and deltas 3, key -1, value length 2, headers 1.
  const room = MAX_BYTES - 61 - 2 - 3 - 1 - 2 - 1;
  checkRecord({ value: new Uint8Array(room) }, RULES);
  checkRecord({ value: 'x'.repeat(room) }, RULES);
  checkRecord({ value: 'ß'.repeat(room / 2) }, RULES);
  for (const value of [new Uint8Array(room + 1), 'x'.repeat(room + 1), `x${'ß'.repeat(room / 2)}`]) {
    assert.throws(
      () => checkRecord({ value }, RULES),
      refusal('MESSAGE_TOO_LARGE', /takes 1001 bytes, and the topic's max\.message\.bytes is 1000/),
    );
  }
  checkRecord({ key: new Uint8Array(room - 10), value: new Uint8Array(9) }, RULES);
});

test('the check agrees with the writer on what fits an empty batch', () => {
  const data = fc.option(
    fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.uint8Array({ maxLength: 200 })),
    { nil: null },
  );
  const record = fc.record({
    key: data,
    value: data,
    headers: fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 20 }), data), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(record, fc.integer({ min: 128, max: 700 }), ({ key, value, headers }, maxBytes) => {
      const fits = new BatchWriter(maxBytes).tryAppend(1_700_000_000_000, key, value, headers);
      const rules = { maxBytes, needsKey: false };
      if (fits) checkRecord({ key, value, headers }, rules);
      else assert.throws(() => checkRecord({ key, value, headers }, rules), refusal('MESSAGE_TOO_LARGE'));
    }),
    { numRuns: 1_000 },
  );
});

test('a compacted topic takes records with a key alone, and an empty key is one', () => {
  const rules = { maxBytes: MAX_BYTES, needsKey: true };
  for (const key of [undefined, null]) {
    assert.throws(
      () => checkRecord({ key, value: 'v' }, rules),
      refusal('INVALID_RECORD', /needs a key here: the topic is compacted/),
    );
  }
  checkRecord({ key: '', value: 'v' }, rules);
  checkRecord({ key: new Uint8Array(), value: null }, rules);
});

test.run();
