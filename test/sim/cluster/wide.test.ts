// time limit: 120 s
// Many followers of one partition, a smaller version: `npm run sim -- --wide` plays a hundred.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runWide } from './wide.ts';

test('all of ten followers keep up with their leader, one takes over from it, and in the end all have the same', async () => {
  const result = await runWide(11, 0.5);
  assert.is(result.violation, undefined);
  assert.equal(result.inSync, [11, 10, 11]);
  assert.ok(result.records > 500, `${result.records} records`);
  assert.ok(result.behindMs.max < 10, `${result.behindMs.max} ms`);
  assert.ok(result.failoverMs < 1_000, `${result.failoverMs} ms`);
});

test.run();
