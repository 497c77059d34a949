import { parseArgs } from 'node:util';
import { didYouMean } from '../src/did-you-mean.ts';

export interface BenchOptions {
  readonly quick: boolean;
  readonly only: readonly string[];
  readonly json: string | undefined;
}

const HELP = `npm run bench -- [options]

  --quick            about a minute: fewer and shorter rounds, wider spread, and no long warm-up,
                     so that partitions.1000 makes its files while it is measured
  --only NAME,NAME   these scenarios; what their ratios need is not added
  --json FILE        write the results as JSON too
  --help             this

Scenarios:
`;

/** The options, or undefined after help or a complaint was printed and the exit code was set. */
export function benchOptions(args: string[], names: readonly string[]): BenchOptions | undefined {
  let values: { quick?: boolean; only?: string[]; json?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      args,
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    console.error(
      `bench: ${(error as Error).message}\n\n${HELP}${names.map((name) => `  ${name}\n`).join('')}`,
    );
    process.exitCode = 2;
    return undefined;
  }
  if (values.help) {
    console.log(`${HELP}${names.map((name) => `  ${name}`).join('\n')}`);
    return undefined;
  }
  const only = values.only?.flatMap((list) => list.split(',').map((name) => name.trim())) ?? names;
  for (const name of only) {
    if (names.includes(name)) continue;
    console.error(
      `bench: there is no scenario '${name}'.${didYouMean(name, names)} Known: ${names.join(', ')}`,
    );
    process.exitCode = 2;
    return undefined;
  }
  return { quick: values.quick ?? false, only, json: values.json };
}
