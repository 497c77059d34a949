// What a crash test knows of the records that its children wrote.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { replicasEqual } from '../../bench/verify.ts';
import { type Cluster, Cluster as Clusters } from '../../src/index.ts';

export const TOPIC = 'crash';
export const PARTITIONS = 3;

export function hashOf(value: Uint8Array | string): string {
  return createHash('sha256').update(value).digest('hex').slice(0, 16);
}

/** Hashes of acknowledged records by "partition offset". */
export type Acknowledged = Map<string, string>;

/** Runs a child on the directory, kills it `delayMs` after it has begun to write, and notes what it had acknowledged. */
export async function runAndKill(
  dataDir: string,
  run: string,
  delayMs: number,
  acknowledged: Acknowledged,
  durability = 'os',
): Promise<void> {
  const script = fileURLToPath(new URL('./crash-child.js', import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, run, durability], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  let output = '';
  let killing = false;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (killing || !output.startsWith('ready\n')) return;
    killing = true;
    setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  const signal = await endOf(child);
  if (signal !== 'SIGKILL' || !killing)
    throw new Error(`the child ended by itself: ${errors}${output.slice(-500)}`);
  // A line that was cut off says nothing.
  for (const line of output.slice(0, output.lastIndexOf('\n')).split('\n').slice(1)) {
    const [, partition, offset, hash] = /^acked (\d+) (\d+) (\w+)$/.exec(line) ?? [];
    if (hash === undefined) throw new Error(`the child said: ${line}`);
    const place = `${partition} ${offset}`;
    if (acknowledged.has(place)) throw new Error(`the place ${place} was given twice`);
    acknowledged.set(place, hash);
  }
}

function endOf(child: ChildProcess): Promise<NodeJS.Signals | null> {
  return new Promise((resolve) => child.on('close', (_, signal) => resolve(signal)));
}

/** What is wrong with the records of the directory: lost, altered, twice, or different at another replica. */
export async function faultsOf(dataDir: string, acknowledged: Acknowledged): Promise<string[]> {
  const cluster = await Clusters.start({ brokers: 3, dataDir });
  try {
    const faults = cluster.recovery
      .filter(({ action }) => action !== 'cut')
      .map(({ file, action, reason }) => `${file}: ${action}: ${reason}`);
    const seen = new Set<string>();
    const missing = new Map(acknowledged);
    let records = 0;
    for (let partition = 0; partition < PARTITIONS; partition++)
      records += await readAll(cluster, partition, missing, seen, faults);
    for (const place of [...missing.keys()].slice(0, 5)) faults.push(`${place} is missing`);
    if (!(await replicasEqual(cluster, TOPIC, records))) faults.push('the replicas differ');
    return faults;
  } finally {
    await cluster.close();
  }
}

async function readAll(
  cluster: Cluster,
  partition: number,
  missing: Acknowledged,
  seen: Set<string>,
  faults: string[],
): Promise<number> {
  let next = 0;
  for (;;) {
    const { records, nextOffset, hwm } = await cluster.read(TOPIC, { partition, offset: next });
    for (const { offset, value } of records) {
      if (offset !== next++) faults.push(`${partition} ${next - 1} is followed by ${offset}`);
      const hash = hashOf(value as Uint8Array);
      if (seen.has(hash)) faults.push(`${partition} ${offset} holds a record that another one holds`);
      seen.add(hash);
      const place = `${partition} ${offset}`;
      const expected = missing.get(place);
      if (expected !== undefined && expected !== hash) faults.push(`${place} was altered`);
      missing.delete(place);
    }
    if (nextOffset >= hwm) return next;
  }
}
