import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type SourceFile, treeOf } from './tree.ts';

function parsed(text: string, others: Record<string, string> = {}): SourceFile {
  const file = treeOf({ 'src/a.ts': text, ...others }).files.get('src/a.ts');
  assert.ok(file);
  return file as SourceFile;
}

function namesOf(text: string): readonly string[] | undefined {
  return parsed(text).references[0]?.names;
}

test('an import tells its names, its target and its line', () => {
  const [reference] = parsed("\nimport { b as c, type D } from './core/b.ts';", {
    'src/core/b.ts': '',
  }).references;
  assert.equal(reference, {
    specifier: './core/b.ts',
    target: 'src/core/b.ts',
    kind: 'import',
    typeOnly: false,
    names: ['b', 'D'],
    line: 2,
  });
});

test('the names taken of a namespace are found, or all when it goes somewhere as a whole', () => {
  assert.equal(namesOf("import * as n from './b.ts';\nn.one(); const t: n.Two = n.one;"), [
    'one',
    'Two',
    'one',
  ]);
  assert.equal(namesOf("import * as n from './b.ts';\nuse(n, n.one);"), ['*']);
});

test('imports of types, exports of others, import() and paths of workers are references', () => {
  const text = `import type { A } from './b.ts';
export { b } from './b.ts';
export * from './b.ts';
const c = await import('./b.ts');
const d = startWorker('./b.js', {});
type E = import('./b.ts').E;`;
  const { references } = parsed(text, { 'src/b.ts': '' });
  assert.ok(references.every(({ target }) => target === 'src/b.ts'));
  assert.equal(
    references.map(({ kind, typeOnly, names }) => `${kind} ${typeOnly} ${names}`),
    ['import true A', 'export false b', 'export false *', 'later false *', 'later false ', 'import true *'],
  );
});

test('all ways to export a name are seen', () => {
  const text = `export const one = 1, { two, deep: { three } } = o;
export function four() {}
export class Five {}
export type Six = 1;
export interface Seven {}
const eight = 8;
export { eight as eighth };
export { nine } from './b.ts';
const hidden = 1;`;
  const names = parsed(text).exportedNames.map(({ name }) => name);
  assert.equal(names, ['one', 'two', 'three', 'four', 'Five', 'Six', 'Seven', 'eighth', 'nine']);
});

test.run();
