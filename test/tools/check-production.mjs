// Checks the package as a user gets it: packs it, installs it without development and optional dependencies,
// makes sure that no native addon came along, and runs a small program against it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const tools = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(tools));

/** What npm hands its scripts would make an npm inside one work on this project instead of the unpacked one. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

/** Reading a broker's answer must not hang this check; a minute is many times what the program takes. */
const PROGRAM_LIMIT_MS = 60_000;

/** As a user's own project might be set up; the types of Node are the one thing it must have besides the package. */
const TYPE_CHECK = [
  ...['--ignoreConfig', '--noEmit', '--allowJs', '--checkJs', '--strict'],
  ...['--target', 'es2023', '--lib', 'es2023', '--module', 'nodenext'],
  ...['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')],
];

function run(command, args, options) {
  const result = spawnSync(command, args, { encoding: 'utf8', env: environment, ...options });
  if (result.status === 0) return result.stdout;
  const reason = result.error?.message ?? `status ${result.status}, signal ${result.signal}`;
  throw new Error(`${command} ${args.join(' ')} failed (${reason})\n${result.stdout}${result.stderr}`);
}

/** Files that only an addon compiled for one machine brings along, or needs to be compiled. */
function nativeFiles(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.name.endsWith('.node') || entry.name === 'binding.gyp')
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)));
}

function check(directory) {
  // The caller has built dist/ just now; packing must not build it again under the feet of running tests.
  const packed = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
    cwd: root,
  });
  const [{ filename, files, unpackedSize }] = JSON.parse(packed);
  console.log(`packed ${files.length} files, ${Math.round(unpackedSize / 1024)} KiB unpacked`);
  const strays = files.map(({ path }) => path).filter((path) => /^(test|bench)\/|\.test\.|\.map$/.test(path));
  if (strays.length > 0) throw new Error(`the package holds files that no user needs: ${strays.join(', ')}`);

  run('tar', ['-xzf', filename], { cwd: directory });
  const installed = join(directory, 'package');
  const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  const warned = ['preinstall', 'install', 'postinstall', 'prepare'].filter((name) => name in scripts);
  if (warned.length > 0) throw new Error(`npm warns whoever installs a package with ${warned.join(', ')}`);
  copyFileSync(join(root, 'package-lock.json'), join(installed, 'package-lock.json'));
  run('npm', ['ci', '--omit=dev', '--omit=optional', '--no-audit', '--no-fund'], { cwd: installed });
  const native = nativeFiles(installed);
  if (native.length > 0) throw new Error(`a production install holds native code: ${native.join(', ')}`);
  console.log('installed without development and optional dependencies: no native addon');

  // From inside the package the name "tidemark" means the package itself, through its exports, as for a user.
  const program = join(installed, 'use-installed.mjs');
  copyFileSync(join(tools, 'use-installed.mjs'), program);
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...TYPE_CHECK, program], {
    cwd: installed,
  });
  console.log('a program of a user agrees with the types');
  process.stdout.write(run(process.execPath, [program], { cwd: installed, timeout: PROGRAM_LIMIT_MS }));
}

const directory = mkdtempSync(join(tmpdir(), 'tidemark-production-'));
try {
  check(directory);
  console.log('check:production passed');
} catch (error) {
  console.error(`check:production failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
