import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { electAtStart, type FoundReplica } from '../../src/core/reopening.ts';

const found = (broker: number, leo: number, lastEpoch = 0, hwm = 0): FoundReplica => ({
  broker,
  leo,
  lastEpoch,
  hwm,
});

const before = { leader: 2, isr: [1, 2, 3] };

test('the leader of before leads again where no other log reaches further', () => {
  const standing = electAtStart(before, [found(1, 10), found(2, 10), found(3, 9)]);
  assert.equal(standing, { leader: 2, isr: [1, 2, 3] });
});

test('a log that reaches further leads, and a newer epoch counts more than a higher offset', () => {
  assert.is(electAtStart(before, [found(1, 11), found(2, 10), found(3, 9)]).leader, 1);
  assert.is(electAtStart(before, [found(1, 11), found(2, 10), found(3, 5, 1)]).leader, 3);
});

test('who could not be opened leaves the ISR, and where it led another one leads', () => {
  assert.equal(electAtStart(before, [found(1, 10), found(3, 12)]), { leader: 3, isr: [1, 3] });
});

test('a replica that lost what was known to be committed is not in sync and does not lead', () => {
  assert.equal(electAtStart(before, [found(1, 0), found(2, 0), found(3, 20, 0, 15)]), {
    leader: 3,
    isr: [3],
  });
});

test('what nobody has any more keeps nobody out', () => {
  assert.equal(electAtStart(before, [found(1, 5, 0, 9), found(2, 5, 0, 9), found(3, 4, 0, 9)]), {
    leader: 2,
    isr: [1, 2],
  });
});

test('an outsider never leads, however far its log reaches', () => {
  const standing = electAtStart({ leader: 1, isr: [1, 2] }, [found(3, 100, 9, 100)]);
  assert.equal(standing, { leader: -1, isr: [1, 2] });
});

test('the leader is of the ISR, and no member of it reaches further', () => {
  const replica = fc.record({
    leo: fc.nat(20),
    lastEpoch: fc.nat(3),
    hwm: fc.nat(20),
    isMember: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(replica, { minLength: 1, maxLength: 5 }), fc.nat(4), (replicas, leader) => {
      const all = replicas.map((each, n) => ({ ...each, broker: n + 1 }));
      const isr = all.filter(({ isMember }) => isMember).map(({ broker }) => broker);
      const standing = electAtStart({ leader: leader + 1, isr }, all);
      if (isr.length === 0) return assert.is(standing.leader, -1);
      assert.ok(standing.isr.includes(standing.leader));
      const elected = all[standing.leader - 1];
      for (const broker of isr) {
        const other = all[broker - 1];
        assert.ok(other.lastEpoch <= elected.lastEpoch);
        assert.ok(other.lastEpoch < elected.lastEpoch || other.leo <= elected.leo);
      }
    }),
  );
});

test.run();
