import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TidemarkError } from '../../src/errors.ts';
import {
  type ClusterOrigin,
  decodeClusterOrigin,
  encodeClusterOrigin,
  writeClusterFile,
} from '../../src/runtime/cluster-file.ts';
import { newUuid } from '../../src/runtime/uuid.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from './directory-fixtures.ts';

const PATH = '/data/cluster.json';

function originOf(founders: number, isFounding = false): ClusterOrigin {
  const members = Array.from({ length: founders }, (_, n) => ({ id: n + 1, directoryId: newUuid() }));
  return { clusterId: newUuid(), founders: members, isFounding };
}

function refusalOf(text: string): TidemarkError {
  try {
    decodeClusterOrigin(text, PATH);
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'DATA_DIRECTORY_INVALID') return error;
    throw error;
  }
  throw new Error(`taken: ${text}`);
}

test('what was written is read again', () => {
  for (const isFounding of [false, true]) {
    for (const founders of [1, 3, 5]) {
      const origin = originOf(founders, isFounding);
      assert.equal(decodeClusterOrigin(encodeClusterOrigin(origin), PATH), origin);
    }
  }
});

test('people find the version, the cluster and a line for each voter', () => {
  const directoryId = 'AAAAAAAAAAAAAAAAAAAAAA';
  const founders = [
    { id: 1, directoryId },
    { id: 2, directoryId },
  ];
  assert.is(
    encodeClusterOrigin({ clusterId: 'c', founders, isFounding: false }),
    `{\n  "version": 2,\n  "clusterId": "c",\n  "voters": [\n    {"id":1,"directoryId":"${directoryId}"},\n    {"id":2,"directoryId":"${directoryId}"}\n  ]\n}\n`,
  );
});

test('every wrong value is named by its place', () => {
  const wrong: [string, RegExp, RegExp][] = [
    ['"clusterId": 5', /"clusterId": "[\w-]+"/, /clusterId must be a text/],
    ['"version": "2"', /"version": 2/, /version must be a whole number/],
    ['"version": 0', /"version": 2/, /version must be a whole number of at least 1/],
    ['"voters": {}', /"voters": \[[\s\S]*\]/, /voters must be a list/],
    ['"voters": []', /"voters": \[[\s\S]*\]/, /voters must be different brokers in ascending order/],
    ['"voters": [1]', /"voters": \[[\s\S]*\]/, /voters\[0\] must be an object/],
    ['"id":2', /"id":1/, /voters must be different brokers in ascending order; it is '\[2, 2, 3\]'/],
    ['"id":0', /"id":1/, /voters\[0\]\.id must be a whole number of at least 1/],
    ['"directoryId":"x"', /"directoryId":"[\w-]{22}"/, /voters\[0\]\.directoryId must be a text/],
    ['"founding": 1', /"founding": true/, /founding must be true, or left out/],
  ];
  const text = encodeClusterOrigin(originOf(3, true));
  for (const [replacement, pattern, sentence] of wrong) {
    assert.match(text, pattern);
    const { message } = refusalOf(text.replace(pattern, replacement));
    assert.match(message, sentence);
    assert.ok(message.startsWith(`The file ${PATH} is damaged: `), message);
  }
  assert.match(refusalOf('null').message, /the file must be an object/);
});

test('another version is refused, with what has written it', () => {
  const text = encodeClusterOrigin(originOf(1));
  const of = (version: number): string =>
    refusalOf(text.replace('"version": 2', `"version": ${version}`)).message;
  assert.match(of(3), /has version 3, and this version of Tidemark reads up to 2: a newer Tidemark/);
  assert.match(
    of(1),
    /has version 1, in which a Tidemark from before the first release .* another directory/,
  );
});

test('damage anywhere is a sentence or another sound state, never a crash', () => {
  const bytes = Buffer.from(encodeClusterOrigin(originOf(3, true)));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), fc.boolean(), (bit, cut) => {
      const damaged = Buffer.from(cut ? bytes.subarray(0, bit >> 3) : bytes);
      if (!cut) damaged[bit >> 3] ^= 1 << (bit & 7);
      try {
        // Where another state comes out of it, that can be written and read.
        const origin = decodeClusterOrigin(damaged.toString(), PATH);
        assert.equal(decodeClusterOrigin(encodeClusterOrigin(origin), PATH), origin);
      } catch (error) {
        assert.ok(error instanceof TidemarkError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a file takes the place of the one before, and leaves nothing beside it', () =>
  withDirectory(async (root) => {
    const path = join(root, 'cluster.json');
    writeFileSync(`${path}.tmp`, 'x'.repeat(10_000));
    for (const isDurable of [true, false]) {
      const origin = originOf(3, isDurable);
      await writeClusterFile(path, origin, isDurable);
      assert.equal(decodeClusterOrigin(readFileSync(path, 'utf8'), path), origin);
      assert.equal(readdirSync(root), ['cluster.json']);
    }
  }));

test('a failed write is told, and can be tried again', () =>
  withDirectory(async (root) => {
    const directory = join(root, 'd');
    const path = join(directory, 'cluster.json');
    await assertRefused(
      writeClusterFile(path, originOf(1), true),
      'KAFKA_STORAGE_ERROR',
      /cluster\.json could not be written/,
    );
    mkdirSync(directory);
    await writeClusterFile(path, originOf(1), true);
    assert.ok(existsSync(path));
  }));

test.run();
