import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { erasableSyntax, leftoversInCode, leftoversInText } from './habits.ts';
import { treeOf } from './tree.ts';

test('notes about work to be done are found wherever they stand', () => {
  // The words are put together here, because this file is searched too.
  for (const word of [`TO${'DO'}`, `FIX${'ME'}`, `XX${'X'}`]) {
    assert.equal(leftoversInText('a.md', `fine\n// ${word}: later`), [
      `a.md:2: ${word}: do it, or write down what is true today`,
    ]);
  }
  assert.equal(leftoversInText('a.md', `TO${'DO'}S and a XX${'X'}L shirt`), []);
});

test('debugger statements and tests left out are found', () => {
  const text = `debugger;
test.only('a', f);
suite.skip('b', f);
const only = test.only;
const chosen = found ? test : test.skip;
bytes.skip(3);`;
  assert.equal(leftoversInCode(treeOf({ 'test/a.ts': text })), [
    'test/a.ts:1: debugger',
    'test/a.ts:2: test.only() leaves tests out',
    'test/a.ts:3: suite.skip() leaves tests out',
  ]);
});

const UNWANTED = {
  'an enum': 'enum A { B }',
  'a namespace': 'namespace A { export const b = 1; }',
  'a default export': 'export default function a() {}',
  'a parameter property': 'class A { constructor(private readonly b: number) {} }',
};

for (const [name, text] of Object.entries(UNWANTED)) {
  test(`${name} is found`, () => {
    assert.equal(erasableSyntax(treeOf({ 'src/a.ts': text })), [
      `src/a.ts:1: ${name} is not in our TypeScript`,
    ]);
  });
}

test('a default export of a value is found too', () => {
  assert.is(erasableSyntax(treeOf({ 'src/a.ts': 'const a = 1;\nexport default a;' })).length, 1);
});

test('what erases is left alone, and so are declaration files', () => {
  const text =
    'export const A = { b: 1 } as const;\nclass C { readonly #d: number; constructor(d: number) {} }';
  assert.equal(erasableSyntax(treeOf({ 'src/a.ts': text, 'src/b.d.ts': 'declare namespace B {}' })), []);
});

test.run();
