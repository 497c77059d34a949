import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withBroker, withoutBroker } from '../../src/runtime/succession.ts';
import type { PartitionInfo } from '../../src/types.ts';

const base: PartitionInfo = {
  id: 0,
  topic: 't',
  partition: 0,
  replicas: [2, 1, 3],
  isr: [2, 1, 3],
  leader: 2,
  epoch: 4,
};
const all = (): boolean => true;
const only =
  (...live: number[]) =>
  (broker: number): boolean =>
    live.includes(broker);

test('a follower that is lost leaves the ISR, and the reign goes on', () => {
  assert.equal(withoutBroker(base, 3, all), { ...base, isr: [2, 1] });
  assert.is(withoutBroker(base, 9, all), base);
});

test('LESSONS 9: a leader that is lost is succeeded by the first replica that is in sync and lives', () => {
  assert.equal(withoutBroker(base, 2, only(1, 3)), { ...base, isr: [1, 3], leader: 1, epoch: 5 });
  assert.equal(withoutBroker(base, 2, only(3)), { ...base, isr: [1, 3], leader: 3, epoch: 5 });
});

test('without a member that lives nobody leads, and the ISR stays, until one of its members is back', () => {
  const alone = withoutBroker({ ...base, isr: [2] }, 2, only(1, 3));
  assert.is(alone.leader, -1);
  assert.equal(alone.isr, [2]);
  assert.match(alone.unavailable as string, /broker 2, which alone has all of its records, is not running/);
  assert.is(withBroker(alone, 3, 'whole', all), alone);
  assert.equal(withBroker(alone, 2, 'whole', all), { ...base, isr: [2], leader: 2, epoch: 6 });
  const broken = withBroker(alone, 2, { fault: 'broker 2: it is torn.' }, all);
  assert.is(broken.leader, -1);
  assert.match(broken.unavailable as string, /it is torn/);
});

test('who comes back without its memory is in sync with nobody', () => {
  const both = { ...base, isr: [2, 1], leader: -1 };
  assert.equal(withBroker(both, 2, 'emptied', all).isr, [1]);
  const last = withBroker({ ...both, isr: [2] }, 2, 'emptied', all);
  assert.equal([last.leader, last.isr], [-1, [2]]);
  assert.match(last.unavailable as string, /memory of broker 2/);
});

test('whatever comes and goes, a leader is a live member of an ISR that is never empty, and epochs only rise', () => {
  const step = fc.record({
    broker: fc.integer({ min: 1, max: 3 }),
    isBack: fc.boolean(),
    isWhole: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const live = new Set([1, 2, 3]);
      let info = base;
      for (const { broker, isBack, isWhole } of steps) {
        const before = info;
        if (isBack && !live.has(broker)) {
          live.add(broker);
          info = withBroker(info, broker, isWhole ? 'whole' : 'emptied', (id) => live.has(id));
        } else if (!isBack && live.delete(broker)) {
          info = withoutBroker(info, broker, (id) => live.has(id));
        }
        assert.ok(info.isr.length > 0);
        assert.ok(
          info.isr.every((id) => before.isr.includes(id)),
          'nobody enters the ISR by coming back',
        );
        assert.ok(info.leader === -1 || (info.isr.includes(info.leader) && live.has(info.leader)));
        if (info.leader !== before.leader) assert.is(info.epoch, before.epoch + 1);
        assert.is(info.unavailable === undefined, info.leader !== -1);
      }
    }),
    { numRuns: 500 },
  );
});

test.run();
