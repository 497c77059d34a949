// Runs the built tests with several versions of Node: `npm run test:versions [-- MAJOR... [part of a path]...]`.
// The binaries come from the npm package "node", and stay in node_modules/.cache for the next time.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MAJORS = ['20', '22', '24', '26'];

/** What npm hands its scripts would make an npm inside one work on this project instead of the cache. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

/** Directory of the node binary of that major version, or undefined if it cannot be had. */
function install(major) {
  const home = join(root, 'node_modules/.cache/node-versions', major);
  const directory = join(home, 'node_modules/node/bin');
  if (existsSync(join(directory, 'node'))) return directory;
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'package.json'), '{ "private": true }\n');
  const args = ['install', '--no-audit', '--no-fund', '--no-save', `node@${major}`];
  const { status } = spawnSync('npm', args, {
    cwd: home,
    env: environment,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return status === 0 && existsSync(join(directory, 'node')) ? directory : undefined;
}

function runTests(major, args) {
  const directory = install(major);
  if (directory === undefined) return { version: major, result: 'could not be installed', passed: false };
  const binary = join(directory, 'node');
  const version = spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim();
  console.log(`\n=== Node ${version}`);
  const startedMs = Date.now();
  // Tests that start "node" by name must get this one too.
  const env = { ...environment, PATH: `${directory}${delimiter}${process.env.PATH}` };
  const options = { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 28 };
  const { status, stdout, stderr } = spawnSync(binary, ['dist/test/run.js', ...args], options);
  process.stdout.write(stdout + stderr);
  const result = stdout.trimEnd().split('\n').at(-1);
  return { version, result, passed: status === 0, seconds: Math.round((Date.now() - startedMs) / 1000) };
}

const args = process.argv.slice(2);
const chosen = args.filter((arg) => /^\d+$/.test(arg));
const rest = args.filter((arg) => !/^\d+$/.test(arg));
const rows = (chosen.length > 0 ? chosen : MAJORS).map((major) => runTests(major, rest));

console.log('\nNode         tests');
for (const { version, result, passed, seconds } of rows) {
  const time = seconds === undefined ? '' : ` in ${seconds} s`;
  console.log(`${version.padEnd(12)} ${passed ? 'ok    ' : 'FAILED'} ${result}${time}`);
}
process.exitCode = rows.every(({ passed }) => passed) ? 0 : 1;
