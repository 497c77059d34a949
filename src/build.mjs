// Builds dist/: TypeScript to JavaScript, and the WebAssembly kernels. Runs on `npm ci` too, as "dependencies": of a
// package with a "prepare" script npm warns those who install it.
// A production install has no compiler; there the built files that came with the package are kept.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const ifPossible = process.argv.includes('--if-possible');
const clean = process.argv.includes('--clean');

/** Path of a development tool's script, or undefined in a production install. */
function toolScript(packageName, script) {
  try {
    return join(dirname(require.resolve(`${packageName}/package.json`)), script);
  } catch {
    return undefined;
  }
}

function run(script, args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const tsc = toolScript('typescript', 'bin/tsc');
const asc = toolScript('assemblyscript', 'bin/asc.js');
if (tsc === undefined || asc === undefined) {
  const built = existsSync(join(root, 'dist/src/index.js'));
  if (ifPossible && built) process.exit(0);
  console.error(
    'tidemark: dist/ is not built and the compilers are not installed. Run `npm ci` (with development dependencies).',
  );
  process.exit(1);
}

if (clean) rmSync(join(root, 'dist'), { recursive: true, force: true });
run(tsc, ['-p', 'tsconfig.json']);
// npm does this where it installs the package; in a checkout whose dist/ was made anew nobody else would.
chmodSync(join(root, 'dist/src/cli/main.js'), 0o755);
mkdirSync(join(root, 'dist/native-free/kernels'), { recursive: true });
run(asc, [
  'native-free/kernels/assembly/index.ts',
  '--config',
  'native-free/kernels/asconfig.json',
  '--outFile',
  'dist/native-free/kernels/kernels.wasm',
]);
