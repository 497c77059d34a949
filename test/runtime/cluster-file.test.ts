import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TidemarkError } from '../../src/errors.ts';
import {
  ClusterFile,
  type ClusterState,
  decodeClusterState,
  encodeClusterState,
} from '../../src/runtime/cluster-file.ts';
import { newUuid } from '../../src/runtime/uuid.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from './directory-fixtures.ts';

const PATH = '/data/cluster.json';

function stateOf(topics: number): ClusterState {
  return {
    clusterId: newUuid(),
    brokers: [1, 2, 3],
    nextPartition: 3 * topics,
    topics: Array.from({ length: topics }, (_, n) => ({
      name: `topic-${n}`,
      topicId: newUuid(),
      config: n % 2 === 0 ? {} : { 'min.insync.replicas': 2 },
      partitions: [0, 1, 2].map((partition) => ({
        id: 3 * n + partition,
        partition,
        replicas: [1, 2, 3],
        isr: [partition + 1],
        leader: partition === 2 ? -1 : partition + 1,
        epoch: n,
      })),
    })),
  };
}

function refusalOf(text: string): TidemarkError {
  try {
    decodeClusterState(text, PATH);
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'DATA_DIRECTORY_INVALID') return error;
    throw error;
  }
  throw new Error(`taken: ${text}`);
}

test('what was written is read again', () => {
  for (const topics of [0, 1, 20]) {
    const state = stateOf(topics);
    assert.equal(decodeClusterState(encodeClusterState(state), PATH), state);
  }
});

test('every wrong value is named by its place', () => {
  const wrong: [string, RegExp, RegExp][] = [
    ['"clusterId": 5', /"clusterId": "[\w-]+"/, /clusterId must be a text/],
    ['"brokers": [2,1]', /"brokers": \[1,2,3\]/, /brokers must be different broker ids in ascending order/],
    ['"nextPartition": 2', /"nextPartition": 3/, /partition ids below 2; it is 2/],
    ['"version": "1"', /"version": 1/, /version must be a whole number/],
    ['"name":"../x"', /"name":"topic-0"/, /topics\[0\]\.name must be/],
    ['"name":".."', /"name":"topic-0"/, /topics\[0\]\.name must be/],
    [
      '"replicas":[1,1]',
      /"replicas":\[1,2,3\]/,
      /partitions\[0\]\.replicas must be different ones of 1, 2, 3/,
    ],
    ['"replicas":[]', /"replicas":\[1,2,3\]/, /replicas must be a list of one broker/],
    ['"isr":[4]', /"isr":\[1\]/, /partitions\[0\]\.isr must be/],
    ['"leader":7', /"leader":1/, /leader must be one of its replicas or -1; it is 7/],
    ['"epoch":-1', /"epoch":0/, /epoch must be a whole number/],
    ['"partition":4', /"partition":1/, /partitions\[1\]\.partition must be 1/],
    ['"id":0', /"id":1/, /'topic-0' must be different partition ids/],
    ['"partitions":{}', /"partitions":\[.*\]/, /partitions must be a list/],
  ];
  const text = encodeClusterState(stateOf(1));
  for (const [replacement, pattern, sentence] of wrong) {
    assert.match(text, pattern);
    const { message } = refusalOf(text.replace(pattern, replacement));
    assert.match(message, sentence);
    assert.ok(message.startsWith(`The file ${PATH} is damaged: `), message);
  }
  assert.match(refusalOf('null').message, /the file must be an object/);
});

test('damage anywhere is a sentence or another sound state, never a crash', () => {
  const bytes = Buffer.from(encodeClusterState(stateOf(3)));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), fc.boolean(), (bit, cut) => {
      const damaged = Buffer.from(cut ? bytes.subarray(0, bit >> 3) : bytes);
      if (!cut) damaged[bit >> 3] ^= 1 << (bit & 7);
      try {
        // Where another state comes out of it, that can be written and read.
        const state = decodeClusterState(damaged.toString(), PATH);
        assert.equal(decodeClusterState(encodeClusterState(state), PATH), state);
      } catch (error) {
        assert.ok(error instanceof TidemarkError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('states that come while one is written go together, and the last one stays', () =>
  withDirectory(async (root) => {
    const path = join(root, 'cluster.json');
    const file = new ClusterFile(path, true);
    const states = Array.from({ length: 50 }, (_, n) => stateOf(n));
    const saved = states.map((state) => file.save(state));
    await saved[0];
    await Promise.all(saved);
    assert.equal(decodeClusterState(readFileSync(path, 'utf8'), path), states[49]);
    assert.equal(readdirSync(root), ['cluster.json']);
  }));

test('a state counts only once it is on disk', () =>
  withDirectory(async (root) => {
    const path = join(root, 'cluster.json');
    const file = new ClusterFile(path, false);
    for (let n = 0; n < 30; n++) {
      const state = stateOf(n);
      await file.save(state);
      assert.equal(decodeClusterState(readFileSync(path, 'utf8'), path), state);
    }
  }));

test('a failed write is told to those who asked for it, and the next one is tried again', () =>
  withDirectory(async (root) => {
    const directory = join(root, 'd');
    const path = join(directory, 'cluster.json');
    const file = new ClusterFile(path, true);
    await assertRefused(file.save(stateOf(1)), 'KAFKA_STORAGE_ERROR', /cluster\.json could not be written/);
    mkdirSync(directory);
    const state = stateOf(2);
    await file.save(state);
    assert.equal(decodeClusterState(readFileSync(path, 'utf8'), path), state);
    rmSync(directory, { recursive: true });
    await assertRefused(file.save(state), 'KAFKA_STORAGE_ERROR');
  }));

test.run();
