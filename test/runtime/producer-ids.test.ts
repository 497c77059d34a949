import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TidemarkError } from '../../src/errors.ts';
import { ProducerIds } from '../../src/runtime/producer-ids.ts';

test('many that ask at once are given different ids, a block at a time', async () => {
  let blocks = 0;
  const ids = new ProducerIds(async () => ({ first: 10 * ++blocks, count: 3 }));
  const given = await Promise.all(Array.from({ length: 7 }, () => ids.next()));
  assert.equal(
    given.map(({ producerId }) => producerId),
    [10, 11, 12, 20, 21, 22, 30],
  );
  assert.ok(given.every(({ producerEpoch }) => producerEpoch === 0));
  assert.is(blocks, 3);
});

test('whoever asks for a block as a broker that was registered anew asks again', async () => {
  let tries = 0;
  const ids = new ProducerIds(async () => {
    if (++tries < 3) throw new TidemarkError('STALE_BROKER_EPOCH', 'It was registered anew.');
    return { first: 5, count: 1 };
  });
  assert.is((await ids.next()).producerId, 5);
});

test('where no block is to be had whoever asks is told, and the next one asks anew', async () => {
  let hasQuorum = false;
  const ids = new ProducerIds(async () => {
    if (!hasQuorum) throw new TidemarkError('NOT_CONTROLLER', 'There is no quorum.');
    return { first: 1, count: 1 };
  });
  const refused = await Promise.allSettled([ids.next(), ids.next()]);
  for (const each of refused) assert.is(each.status === 'rejected' && each.reason.code, 'NOT_CONTROLLER');
  hasQuorum = true;
  assert.is((await ids.next()).producerId, 1);
});

test.run();
