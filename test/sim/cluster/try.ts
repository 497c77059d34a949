import { runCluster } from './simulation.ts';

const [from, count, seconds, mode] = process.argv.slice(2);
const started = performance.now();
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const before = performance.now();
  const lines: string[] = [];
  const r = await runCluster(seed, {
    seconds: Number(seconds),
    trace: mode === 'trace' ? (l) => lines.push(l) : undefined,
  });
  if (mode === 'trace') for (const l of lines.slice(-Number(process.argv[6] ?? 100000))) console.log(l);
  console.log(
    seed,
    r.plan.durability,
    r.plan.brokers,
    'events',
    r.events,
    'records',
    r.records,
    'hash',
    r.hash.toString(16),
    'ms',
    (performance.now() - before).toFixed(0),
    r.simulatedMs.toFixed(0),
    r.violation ? `VIOLATION at ${r.violation.atMs}: ${r.violation.invariant}: ${r.violation.detail}` : 'ok',
  );
  if (r.violation && mode === 'stop') break;
}
console.log(((performance.now() - started) / 1000).toFixed(1), 's');
