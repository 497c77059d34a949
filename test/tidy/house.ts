// The house: what lies at the top, how large files may be, and that tests lie where their subject lies.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { SourceTree, Violation } from './tree.ts';

const TOP_LEVEL = [
  'LICENSE',
  'README.md',
  'bench',
  'native-free',
  'package-lock.json',
  'package.json',
  'src',
  'test',
  'tsconfig.json',
];

/** What tools leave behind, and .gitignore keeps out. */
const NOT_OURS = /^(node_modules|dist|coverage|\.git)$|\.(tgz|log|cpuprofile)$/;

const FILE_BYTES_MAX = 1_000_000;

/** Folders of tests that have no single subject. */
const FREE_TEST_FOLDERS = /^test\/(chaos|lessons|sim|threads|interop|vectors|tools|tidy)\//;
const FREE_TEST_FILES = /^test\/(run|run\.test|tidy\.test)\.ts$/;

export function topLevelNames(names: readonly string[]): Violation[] {
  return names
    .filter((name) => !NOT_OURS.test(name) && !name.startsWith('.') && !TOP_LEVEL.includes(name))
    .map((name) => `${name}: does not belong at the top level`);
}

/** Every file of ours below the root, relative to it with forward slashes. */
export function listFiles(root: string): string[] {
  const files: string[] = [];
  const list = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (NOT_OURS.test(entry.name)) continue;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) list(path);
      else files.push(relative(root, path).split(sep).join('/'));
    }
  };
  list(root);
  return files.sort();
}

export function largeFiles(root: string, paths: readonly string[]): Violation[] {
  return paths
    .map((path) => ({ path, size: statSync(join(root, path)).size }))
    .filter(({ size }) => size > FILE_BYTES_MAX)
    .map(({ path, size }) => `${path}: has ${size} bytes, more than ${FILE_BYTES_MAX}`);
}

/** A lock file that names addresses ties every installation to one registry. */
export function lockedAddresses(root: string): Violation[] {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  return lock
    .split('\n')
    .flatMap((line, i) =>
      line.includes('"resolved"') ? [`package-lock.json:${i + 1}: ${line.trim()}`] : [],
    );
}

/**
 * test/core/raft.test.ts stands for src/core/raft.ts; so do test/core/raft-election.test.ts and
 * test/core/raft/election.test.ts. What is no test (a fixture) needs a folder that mirrors one of ours.
 */
export function testsMirrorSources(tree: SourceTree): Violation[] {
  const subjects = new Set<string>();
  const folders = new Set<string>();
  for (const path of tree.files.keys()) {
    if (path.startsWith('test/')) continue;
    const subject = path.replace(/^src\//, '').replace(/(\/index)?\.ts$/, '');
    subjects.add(subject);
    for (let end = subject.lastIndexOf('/'); end > 0; end = subject.lastIndexOf('/', end - 1)) {
      folders.add(subject.slice(0, end));
    }
    if (path.endsWith('/index.ts')) folders.add(subject);
  }
  const found: Violation[] = [];
  for (const path of tree.files.keys()) {
    if (!path.startsWith('test/') || FREE_TEST_FOLDERS.test(path) || FREE_TEST_FILES.test(path)) continue;
    const name = path.slice('test/'.length).replace(/(\.test)?\.ts$/, '');
    const mirrored = path.endsWith('.test.ts')
      ? prefixes(name).some((prefix) => subjects.has(prefix)) || folders.has(name)
      : folders.has(name.slice(0, name.lastIndexOf('/')));
    if (!mirrored) found.push(`${path}:1: mirrors no file of src, native-free or bench`);
  }
  return found;
}

/** core/raft-election gives itself, core/raft, core. */
function prefixes(name: string): string[] {
  const ends = [...name.matchAll(/[-./]/g)].map(({ index }) => index);
  return [name, ...ends.map((end) => name.slice(0, end))];
}
