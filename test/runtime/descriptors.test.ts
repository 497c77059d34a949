// time limit: 60 s
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OPEN_FILES_MAX } from '../../src/limits.ts';
import { openFilesPerBroker } from '../../src/runtime/descriptors.ts';

test('brokers share what a process may open, take no more than they need, and leave some', () => {
  assert.is(openFilesPerBroker(3, 1_000_000), OPEN_FILES_MAX);
  assert.is(openFilesPerBroker(3, Number.POSITIVE_INFINITY), OPEN_FILES_MAX);
  assert.is(openFilesPerBroker(3, 4_096), 1_024);
  assert.is(openFilesPerBroker(6, 4_096), 512);
  assert.is(openFilesPerBroker(1, 4_096), 1_024, 'others may join');
  assert.is(openFilesPerBroker(100, 64), 1);
});

/** Where the system has no such limits, the test would say nothing. */
const few = process.platform === 'linux' ? test : test.skip;

few('a cluster with more logs than a process may have files open keeps them all in sync', async () => {
  const script = fileURLToPath(new URL('./few-files-child.js', import.meta.url));
  const command = `ulimit -n 400 && exec "${process.execPath}" "${script}"`;
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 50_000 });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  assert.is(said, '600 records, all replicas in sync\n');
  assert.is(code, 0);
});

test.run();
