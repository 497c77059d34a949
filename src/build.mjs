// Builds dist/: TypeScript to JavaScript, and the WebAssembly kernels. Runs on `npm ci` too, as "dependencies": of a
// package with a "prepare" script npm warns those who install it.
// A production install has no compiler; there the built files that came with the package are kept.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
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

async function run(script, args) {
  const tool = spawn(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  const [status] = await once(tool, 'exit');
  if (status !== 0) process.exit(status ?? 1);
}

/** What a module finds beside itself it finds from within the one file too. */
const inPlace = (outfile) => ({
  name: 'in-place',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const place = relative(dirname(outfile), join('dist', relative(root, path))).replace(/\.ts$/, '.js');
      const text = readFileSync(path, 'utf8');
      const url = `new URL(${JSON.stringify(place.replaceAll('\\', '/'))}, import.meta.url).href`;
      return { contents: text.replaceAll('import.meta.url', url), loader: 'ts' };
    });
  },
});

/** One file in place of the many: a module costs each thread that loads it a millisecond, and every broker is a thread. */
async function bundled(name) {
  const outfile = `dist/src/${name}.js`;
  const { outputFiles } = await bundler.build({
    absWorkingDir: root,
    entryPoints: [`src/${name}.ts`],
    outfile,
    plugins: [inPlace(outfile)],
    write: false,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  });
  return outputFiles;
}

const tsc = toolScript('typescript', 'bin/tsc');
const asc = toolScript('assemblyscript', 'bin/asc.js');
const bundler = await import('esbuild-wasm').catch(() => undefined);
if (tsc === undefined || asc === undefined || bundler === undefined) {
  const built = existsSync(join(root, 'dist/src/index.js'));
  if (ifPossible && built) process.exit(0);
  console.error(
    'tidemark: dist/ is not built and the compilers are not installed. Run `npm ci` (with development dependencies).',
  );
  process.exit(1);
}

if (clean) rmSync(join(root, 'dist'), { recursive: true, force: true });
mkdirSync(join(root, 'dist/native-free/kernels'), { recursive: true });
const [files] = await Promise.all([
  bundled('runtime/broker-thread'),
  run(tsc, ['-p', 'tsconfig.json']),
  run(asc, [
    'native-free/kernels/assembly/index.ts',
    '--config',
    'native-free/kernels/asconfig.json',
    '--outFile',
    'dist/native-free/kernels/kernels.wasm',
  ]),
]);
// The compiler has written the same file for the thread's first module alone.
for (const { path, contents } of files) writeFileSync(path, contents);
// npm does this where it installs the package; in a checkout whose dist/ was made anew nobody else would.
chmodSync(join(root, 'dist/src/cli/main.js'), 0o755);
