// Nothing dead: every file is reached from somewhere, and every exported name is used somewhere else.
import * as ast from 'typescript/unstable/ast';
import {
  type ExportedName,
  type SourceFile,
  type SourceTree,
  type Violation,
  violation,
  walk,
} from './tree.ts';

/** Files that nobody imports because something else starts them. */
const STARTED_FROM_OUTSIDE = [
  // What only declares holds for the whole project without an import.
  /\.d\.ts$/,
  // A package of its own each, as far as others are concerned.
  /^native-free\/[^/]+(\/index)?\.ts$/,
  /^test\/.*\.test\.ts$/,
  // bench/kit/main.ts runs all that stands beside it.
  /^bench\/kit\/[^/]+\.ts$/,
];

/** The files that package.json starts or exports, given its text: dist/ paths name their sources. */
export function entriesOf(packageJson: string): ReadonlySet<string> {
  const built = packageJson.matchAll(/dist\/([\w./-]+)\.js/g);
  return new Set([...built].map(([, path]) => `${path}.ts`));
}

export function unreferencedFiles(tree: SourceTree, entries: ReadonlySet<string>): Violation[] {
  const reached = new Map<string, string[]>();
  for (const { path, references } of tree.files.values()) {
    for (const { target } of references) {
      if (target !== undefined && target !== path)
        reached.set(target, [...(reached.get(target) ?? []), path]);
    }
  }
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    if (entries.has(file.path) || STARTED_FROM_OUTSIDE.some((pattern) => pattern.test(file.path))) continue;
    const from = reached.get(file.path) ?? [];
    if (!from.some((path) => counts(path, file))) {
      found.push(
        violation(file, 1, from.length === 0 ? 'nobody imports this file' : 'only tests import this file'),
      );
    }
  }
  return found;
}

/** What only tests use is no part of the product. A leaf of native-free stands for itself: its tests may count. */
function counts(user: string, used: SourceFile): boolean {
  return !used.path.startsWith('src/') || !user.startsWith('test/');
}

export function unusedExports(tree: SourceTree, entries: ReadonlySet<string>): Violation[] {
  const users = collectUsers(tree);
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    if (isPublic(file.path, entries)) continue;
    for (const exported of file.exportedNames) {
      const by = [
        ...(users.get(`${file.path} ${exported.name}`) ?? []),
        ...(users.get(`${file.path} *`) ?? []),
      ];
      if (by.some((path) => counts(path, file)) || isMentionedType(exported, file)) continue;
      // Alive in its own file, and exported so that it can be tested by itself.
      if (by.length > 0 && mentions(exported.name, file) > 1) continue;
      const fault = by.length === 0 ? 'is used by no other file' : 'is used by tests alone';
      found.push(violation(file, exported.line, `the export ${exported.name} ${fault}`));
    }
  }
  return found;
}

/** Modules whose exports are for users, or are looked up by name at run time. */
function isPublic(path: string, entries: ReadonlySet<string>): boolean {
  if (/^native-free\/[^/]+(\/index)?\.ts$/.test(path) || /^bench\/kit\/[^/]+\.ts$/.test(path)) return true;
  return entries.has(path);
}

/** Which files use which name: the keys are `path name`. */
function collectUsers(tree: SourceTree): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const { path, references } of tree.files.values()) {
    for (const { target, names } of references) {
      for (const name of target === undefined ? [] : names) {
        const key = `${target} ${name}`;
        users.set(key, [...(users.get(key) ?? []), path]);
      }
    }
  }
  return users;
}

/** A type that the file's own signatures speak of is exported for whoever wants to name it. */
function isMentionedType({ name, kind }: ExportedName, file: SourceFile): boolean {
  return kind === 'type' && mentions(name, file) > 1;
}

function mentions(name: string, file: SourceFile): number {
  let count = 0;
  walk(file.root, (node) => {
    if (ast.isIdentifier(node) && node.text === name) count += 1;
  });
  return count;
}
