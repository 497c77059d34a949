import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProducerOptions } from '../../src/client/producer.ts';
import { TidemarkError } from '../../src/errors.ts';
import type { RecordInput, RecordPlace } from '../../src/types.ts';
import { ProducerBench, valuesOf } from './producer-fixtures.ts';
import { outcomeOf } from './refusals.ts';

const refused = () => new TidemarkError('CORRUPT_MESSAGE', 'The broker refused the batch.');
const numbered = (count: number, size = 0): RecordInput[] =>
  Array.from({ length: count }, (_, n) => ({ value: `${n}`.padEnd(size, '.') }));

/** What two brokers got, of which the first answers late and the second at once. */
async function mixedAnswers(
  options: ProducerOptions,
  answer: (value: string[]) => RecordPlace | TidemarkError,
) {
  const bench = new ProducerBench({ ...options, partitions: 2, brokers: 2 });
  const got: string[] = [];
  bench.answers.set(2, (batch) => {
    got.push(...valuesOf(batch));
    const answered = answer(valuesOf(batch));
    if (answered instanceof TidemarkError) batch.fail(answered);
    else batch.settle(answered.offset);
  });
  const calls = numbered(12, 100).map((record) => bench.producer.sendBatch('t', [record, record, record]));
  const outcomes = Promise.all(calls.map(outcomeOf));
  const slow = await bench.settleAll();
  return { bench, got: [...got, ...slow.flatMap(({ values }) => values)], outcomes: await outcomes };
}

test('a batch that is settled while it is sent writes nothing of those who wait twice', async () => {
  const { got } = await mixedAnswers({ acks: 0, bufferBytes: 250, batchBytes: 120 }, () => ({
    partition: 1,
    offset: -1,
  }));
  const counts = new Map<string, number>();
  for (const value of got) counts.set(value, (counts.get(value) ?? 0) + 1);
  assert.equal(
    [...counts.values()],
    Array.from({ length: 12 }, () => 3),
  );
});

test('a batch that fails while it is sent leaves nobody waiting for ever', async () => {
  const { bench, outcomes } = await mixedAnswers({ bufferBytes: 250, batchBytes: 120 }, refused);
  assert.not(outcomes.includes('still pending'));
  await bench.producer.close();
});

test.run();
