// `npm run interop`: what other implementations make of our files. It needs programs that not every machine has, and
// says by name what it leaves out for want of them.
import { Checks } from './checks.ts';
import { dumpLogChecks } from './dump-log.ts';
import { findKafkaTools } from './kafka-tools.ts';

/** A run that hangs must end by itself. */
const LIMIT_MS = 600_000;

async function main(): Promise<void> {
  const print = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  const limit = setTimeout(() => {
    print(`FAILED  the run took longer than ${LIMIT_MS / 1000} s`);
    process.exit(1);
  }, LIMIT_MS);
  const checks = new Checks(print);
  const tools = await findKafkaTools(print);
  if (typeof tools === 'string') checks.skip("Kafka's DumpLogSegments over our files", tools);
  else await dumpLogChecks(tools, checks);
  clearTimeout(limit);
  process.exitCode = checks.end() ? 0 : 1;
}

await main();
