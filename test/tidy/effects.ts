// Time, randomness and I/O enter through src/runtime alone, so that the simulator can put its own in their place.
import * as ast from 'typescript/unstable/ast';
import { isNamed, type SourceFile, type SourceTree, type Violation, violation, walk } from './tree.ts';

/** Where effects are at home. bench and test drive the product from outside. */
const FREE = /^(src\/runtime|src\/cli|bench|test)\//;

/** One file only may put a thread to sleep, wherever it stands. */
const WAITING_FILE = 'native-free/sharedarraybuffer-utils/bell.ts';

const BANNED_MEMBERS: Readonly<Record<string, RegExp>> = {
  Date: /^now$/,
  performance: /^(now|timeOrigin)$/,
  process: /^hrtime$/,
  Math: /^random$/,
  crypto: /^(random|getRandomValues)/,
  console: /./,
};

const BANNED_GLOBALS = /^(setTimeout|setInterval|setImmediate)$/;

const BANNED_MODULES =
  /^node:(fs|net|tls|dgram|http|https|http2|dns|child_process|cluster|worker_threads|timers|perf_hooks)(\/|$)/;

/** What some files may do all the same, and why. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  // It loads the WebAssembly that lies beside it, once, before anything runs.
  'native-free/kernels/index.ts': ['node:fs'],
  // A blocking wait that was woken too early has to know how much of its time is left.
  [WAITING_FILE]: ['performance.now'],
};

export function effectsOutsideRuntime(tree: SourceTree): Violation[] {
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    if (!/^(bench|test)\//.test(file.path)) found.push(...waits(file));
    if (!FREE.test(file.path)) found.push(...bannedImports(file), ...bannedUses(file));
  }
  return found;
}

function waits(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  if (file.path === WAITING_FILE) return found;
  walk(file.root, (node) => {
    if (isMember(node, 'Atomics', /^wait/)) {
      found.push(violation(file, node, `${node.getText(file.root)} belongs to ${WAITING_FILE}`));
    }
  });
  return found;
}

function bannedImports(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  for (const { specifier, typeOnly, names, line } of file.references) {
    if (typeOnly || EXCEPTIONS[file.path]?.includes(specifier)) continue;
    const random = specifier === 'node:crypto' && names.some((name) => BANNED_MEMBERS.crypto?.test(name));
    if (random || BANNED_MODULES.test(specifier)) {
      const what = random ? `randomness of ${specifier}` : specifier;
      found.push(violation(file, line, `${what} belongs to src/runtime`));
    }
  }
  return found;
}

function bannedUses(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  const report = (node: ast.Node): void => {
    const text = node.getText(file.root);
    if (!EXCEPTIONS[file.path]?.includes(text))
      found.push(violation(file, node, `${text} belongs to src/runtime`));
  };
  walk(file.root, (node) => {
    for (const [object, members] of Object.entries(BANNED_MEMBERS)) {
      if (isMember(node, object, members)) report(node);
    }
    if (ast.isIdentifier(node) && BANNED_GLOBALS.test(node.text) && isGlobalUse(node, file)) report(node);
    const nowByConstructor = ast.isNewExpression(node) && node.expression.getText(file.root) === 'Date';
    if (nowByConstructor && (node.arguments ?? []).length === 0) report(node);
  });
  return found;
}

function isMember(node: ast.Node, object: string, members: RegExp): boolean {
  if (!ast.isPropertyAccessExpression(node) || !members.test(node.name.text)) return false;
  const { expression } = node;
  if (ast.isIdentifier(expression)) return expression.text === object;
  // The same by its full name, globalThis.Date.now.
  const isGlobal = ast.isPropertyAccessExpression(expression) && isNamed(expression.expression, 'globalThis');
  return isGlobal && expression.name.text === object;
}

/** Tells the global timer from a property, a parameter or an import of the same name. */
function isGlobalUse(node: ast.Identifier, file: SourceFile): boolean {
  const { parent } = node;
  if (ast.isPropertyAccessExpression(parent) && parent.name === node) {
    return parent.expression.getText(file.root) === 'globalThis';
  }
  const declares = 'name' in parent && parent.name === node && !ast.isShorthandPropertyAssignment(parent);
  const handedIn = file.references.some(
    ({ names, specifier }) => specifier.startsWith('.') && names.includes(node.text),
  );
  return !declares && !handedIn;
}
