import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkedOptions, defaultRaftOptions } from '../../../src/core/raft/options.ts';
import { isFault } from './raft-cluster.ts';

test('what is left out has its default', () => {
  assert.equal(checkedOptions(undefined), defaultRaftOptions);
  assert.is(checkedOptions({ heartbeatMs: 10 }).heartbeatMs, 10);
});

test('options that contradict each other are a fault of the host', () => {
  assert.throws(() => checkedOptions({ heartbeatMs: 1_001 }), isFault(/one lost heartbeat/));
  assert.throws(() => checkedOptions({ heartbeatMs: Number.NaN }), isFault(/heartbeatMs is NaN/));
  assert.throws(() => checkedOptions({ lostLeaderDelayMs: 2_001 }), isFault(/slower than silence/));
  assert.throws(() => checkedOptions({ appendMaxEntries: 0 }), isFault(/holds nothing/));
  assert.throws(() => checkedOptions({ inFlightMaxEntries: 1 }), isFault(/never in flight/));
});

test.run();
