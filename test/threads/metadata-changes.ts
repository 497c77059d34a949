// What a crash test knows of the topics that its children have changed.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '../../src/index.ts';

const PARTITIONS_MAX = 6;

/** As far as the children change it. */
export interface Topic {
  readonly partitions: number;
  readonly retentionMs: number;
}

export type Change =
  | ({ readonly what: 'create' } & Topic)
  | { readonly what: 'delete' }
  | { readonly what: 'widen'; readonly partitions: number }
  | { readonly what: 'alter'; readonly retentionMs: number };

/** A topic as it may be: undefined where there is none. */
export type State = Topic | undefined;

/** By name: what may be true of it. One state where nothing is in doubt. */
export type Expected = Map<string, readonly State[]>;

/** A number from 0 to below the bound that the seed stands for. */
export function drawnFrom(seed: string, bound: number): number {
  return createHash('sha256').update(seed).digest().readUInt32LE(0) % bound;
}

/** Some change that a topic may have next. */
export function changeAfter(topic: State, seed: string): Change {
  const retentionMs = 1_000_000 + drawnFrom(`${seed} retention`, 1_000_000);
  if (topic === undefined) return { what: 'create', partitions: 1 + drawnFrom(seed, 3), retentionMs };
  const what = drawnFrom(seed, 3);
  if (what === 0 || topic.partitions >= PARTITIONS_MAX) return { what: 'delete' };
  if (what === 1) return { what: 'widen', partitions: topic.partitions + 1 };
  return { what: 'alter', retentionMs };
}

export function stateAfter(topic: State, change: Change): State {
  if (change.what === 'delete') return undefined;
  const { what: _, ...changed } = change;
  return { ...topic, ...changed } as Topic;
}

export async function topicOf(cluster: Cluster, name: string): Promise<State> {
  const found = cluster.status().topics.find((topic) => topic.name === name);
  if (found === undefined) return undefined;
  const config = await cluster.admin.describeTopicConfig(name);
  return { partitions: found.partitions.length, retentionMs: Number(config['retention.ms'].value) };
}

/** Runs a child on the directory, kills it `delayMs` after it has begun, and notes what may be true since. */
export async function runAndKill(
  dataDir: string,
  run: string,
  delayMs: number,
  expected: Expected,
  durability: string,
): Promise<number> {
  const script = fileURLToPath(new URL('./metadata-child.js', import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, run, durability], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  let output = '';
  let isKilling = false;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (isKilling || !output.startsWith('ready\n')) return;
    isKilling = true;
    setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  const signal = await endOf(child);
  if (signal !== 'SIGKILL' || !isKilling)
    throw new Error(`the child ended by itself: ${errors}${output.slice(-500)}`);
  // A line that was cut off says nothing.
  const lines = output.slice(0, output.lastIndexOf('\n')).split('\n').slice(1);
  for (const line of lines) note(line, expected);
  return lines.filter((line) => line.startsWith('done ')).length;
}

function note(line: string, expected: Expected): void {
  const [, what, name, change] = /^(begun|done) (\S+) ?(.*)$/.exec(line) ?? [];
  if (name === undefined) throw new Error(`the child said: ${line}`);
  const states = expected.get(name) ?? [undefined];
  const last = states.at(-1);
  if (what === 'done') expected.set(name, [last]);
  else expected.set(name, [last, stateAfter(last, JSON.parse(change))]);
}

function endOf(child: ChildProcess): Promise<NodeJS.Signals | null> {
  return new Promise((resolve) => child.on('close', (_, signal) => resolve(signal)));
}

/** What is wrong with the topics; what was in doubt is settled by what is found. */
export async function faultsOf(cluster: Cluster, expected: Expected): Promise<string[]> {
  const faults: string[] = [];
  for (const { name } of cluster.status().topics)
    if (!expected.has(name)) faults.push(`there is a topic ${name}, for which nobody has asked`);
  for (const [name, states] of expected) {
    const found = await topicOf(cluster, name);
    const isExpected = states.some(
      (state) => JSON.stringify(inOrder(state)) === JSON.stringify(inOrder(found)),
    );
    if (!isExpected)
      faults.push(`${name} is ${JSON.stringify(found)}, and not one of ${JSON.stringify(states)}`);
    expected.set(name, [found]);
    if (found !== undefined) faults.push(...(await halvesOf(cluster, name)));
  }
  return faults;
}

function inOrder(state: State): unknown {
  return state === undefined ? null : [state.partitions, state.retentionMs];
}

/** Partitions that are written down, and cannot be used. */
async function halvesOf(cluster: Cluster, name: string): Promise<string[]> {
  const faults: string[] = [];
  const { partitions = [] } = cluster.status().topics.find((topic) => topic.name === name) ?? {};
  for (const { id, leader, replicas, error } of partitions) {
    if (leader === -1) faults.push(`partition ${id} of ${name} has no leader: ${error}`);
    if (replicas.length !== 3) faults.push(`partition ${id} of ${name} has ${replicas.length} replicas`);
  }
  if (faults.length > 0) return faults;
  const producer = cluster.producer({ acks: 'all' });
  const before = partitions.map(({ hwm }) => hwm);
  const sent = Array.from({ length: 20 * partitions.length }, (_, n) => ({ key: `${n}`, value: 'v' }));
  await producer.sendBatch(name, sent);
  await producer.close();
  const after = cluster.status().topics.find((topic) => topic.name === name)?.partitions ?? [];
  for (const { id, hwm } of after)
    if (hwm <= before[id]) faults.push(`partition ${id} of ${name} has taken no record`);
  return faults;
}
