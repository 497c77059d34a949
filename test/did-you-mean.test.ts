import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { didYouMean } from '../src/did-you-mean.ts';

const options = ['brokers', 'durability', 'config', 'deliveryTimeoutMs'];

test('the nearest name is proposed', () => {
  assert.is(didYouMean('broker', options), " Did you mean 'brokers'?");
  assert.is(didYouMean('borkers', options), " Did you mean 'brokers'?");
  assert.is(didYouMean('durablity', options), " Did you mean 'durability'?");
  assert.is(didYouMean('deliveryTimeout', options), " Did you mean 'deliveryTimeoutMs'?");
  assert.is(didYouMean('ab', ['abcd', 'abc']), " Did you mean 'abc'?");
});

test('case makes no difference', () => {
  assert.is(didYouMean('BROKERS', options), " Did you mean 'brokers'?");
  assert.is(didYouMean('deliverytimeoutms', options), " Did you mean 'deliveryTimeoutMs'?");
});

test('nothing is proposed where nothing is near, and nothing where nothing is known', () => {
  assert.is(didYouMean('replication', options), '');
  assert.is(didYouMean('brokers', []), '');
  assert.is(didYouMean('', options), '');
});

test('two letters may be wrong in a short name, a third of them in a long one', () => {
  assert.is(didYouMean('abc', ['axy']), " Did you mean 'axy'?");
  assert.is(didYouMean('abc', ['xyz']), '');
  assert.is(didYouMean('abcdefghi', ['abcdefxyz']), " Did you mean 'abcdefxyz'?");
  assert.is(didYouMean('abcdefghi', ['abcdewxyz']), '');
});

test.run();
