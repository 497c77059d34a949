// time limit: 60 s
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cachedDataVersionTag } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { afterEnd, endingThreads } from '../../src/runtime/thread-end.ts';
import { until, withCluster } from '../threads/fixtures.ts';

/** V8 makes it of its flags among other things. */
const flags = (): number => cachedDataVersionTag();
const asked = flags();
const isV8Of20 = process.versions.v8.startsWith('11.');

/** What a process of Node wrote, and how it ended. */
async function said(args: readonly string[]): Promise<readonly [string, number | null, string | null]> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 50_000 });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return [text, code, signal];
}

const INDEX = JSON.stringify(new URL('../../src/index.js', import.meta.url).href);

/** Whether V8's flags were others than at first when a process ended with brokers in it. */
function saidAtExit(...args: readonly string[]): ReturnType<typeof said> {
  const code = `
    import { cachedDataVersionTag } from 'node:v8';
    import { Cluster } from ${INDEX};
    const asked = cachedDataVersionTag();
    await Cluster.start({ brokers: 1, durability: 'memory' });
    process.on('exit', () => console.log(cachedDataVersionTag() !== asked));
    process.exit(3);`;
  return said([...args, '--input-type=module', '--eval', code]);
}

test('a process lives on though V8 compiles for the threads that it ends', async () => {
  const script = fileURLToPath(new URL('./thread-end-child.js', import.meta.url));
  // So that V8 asks the platform for tasks of its marking as often as it can.
  const args = ['--single-threaded-gc', '--initial-old-space-size=40', '--min-semi-space-size=16', script];
  assert.equal(await said(args), ['120 threads ended\n', 0, null]);
});

test('V8 asks for no tasks while threads end, and for tasks again after the last of them', async () => {
  let end = (_: string): void => {};
  const first = endingThreads(() => new Promise<string>((resolve) => (end = resolve)));
  const unasked = flags();
  assert.is(unasked !== asked, isV8Of20);
  let refuse = (_: Error): void => {};
  const second = endingThreads(() => new Promise<never>((_, reject) => (refuse = reject)));
  end('ended');
  assert.is(await first, 'ended');
  assert.is(flags(), unasked);
  // A thread that has ended by itself meanwhile.
  afterEnd();
  assert.is(flags(), unasked);
  refuse(new Error('refused'));
  assert.is(await second.catch(({ message }: Error) => message), 'refused');
  assert.is(flags(), asked);
});

test('the same for a broker that is killed, and for one that dies of an error', () =>
  withCluster({ brokers: 2, replicationFactor: 2 }, async (cluster, { threads }) => {
    const killed = cluster.faults.kill(1);
    assert.is(flags() !== asked, isV8Of20);
    await killed;
    assert.is(flags(), asked);
    let atError = asked;
    threads[1].once('error', () => {
      atError = flags();
    });
    threads[1].postMessage(null);
    await until('its death is known', () => cluster.status().brokers[1].state === 'failed');
    assert.is(atError !== asked, isV8Of20);
    await until('it has ended', () => flags() === asked);
  }));

test('the same for a process that ends with brokers in it', async () => {
  assert.equal(await saidAtExit(), [`${isV8Of20}\n`, 3, null]);
});

test('a process that was told how V8 is to mark stays with it', async () => {
  assert.equal(await saidAtExit('--no-incremental-marking-task'), ['false\n', 3, null]);
  assert.equal(await saidAtExit('--incremental_marking_task'), ['false\n', 3, null]);
});

test('a worker that ends with brokers in it leaves V8 as it was', async () => {
  const code = `
    const started = import(${INDEX}).then(({ Cluster }) => Cluster.start({ brokers: 1, durability: 'memory' }));
    started.then(() => process.exit(3));`;
  const host = new Worker(code, { eval: true });
  const [exitCode] = await once(host, 'exit');
  assert.is(exitCode, 3);
  assert.is(flags(), asked);
});

test.run();
