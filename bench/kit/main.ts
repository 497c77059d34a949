// Runs the micro-benchmarks that stand beside this file, one after the other: `npm run bench:kit [-- NAME...]`.
// Each of them is a module that exports run().
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const built = dirname(fileURLToPath(import.meta.url));
const sources = join(dirname(dirname(dirname(built))), 'bench/kit');

type Benchmark = { readonly run: () => void | Promise<void> };

/** The names come from the sources: dist/ may still hold what is no longer there. */
function benchmarkNames(): string[] {
  return readdirSync(sources)
    .filter((name) => name.endsWith('.ts') && name !== 'main.ts')
    .map((name) => basename(name, '.ts'))
    .sort();
}

async function load(name: string): Promise<Benchmark | undefined> {
  const module: Partial<Benchmark> = await import(pathToFileURL(join(built, `${name}.js`)).href);
  return module.run === undefined ? undefined : { run: module.run };
}

async function main(wanted: readonly string[]): Promise<void> {
  const names = benchmarkNames();
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    console.error(`No such benchmark: ${unknown.join(', ')}. There are: ${names.join(', ')}.`);
    process.exitCode = 1;
    return;
  }
  for (const name of wanted.length > 0 ? wanted : names) {
    const benchmark = await load(name);
    // What exports no run() is something that benchmarks share.
    if (benchmark === undefined) continue;
    console.log(`\n=== ${name}`);
    await benchmark.run();
  }
}

await main(process.argv.slice(2));
