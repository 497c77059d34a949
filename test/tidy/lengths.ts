// A file or function that outgrows its limit usually holds two things.
import * as ast from 'typescript/unstable/ast';
import { type SourceFile, type SourceTree, type Violation, walk } from './tree.ts';

const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;

/**
 * What is longer all the same, with its present length: `path` for a file, `path name` for a function. A ratchet:
 * no entry may grow, and one whose file or function has shrunk is lowered or leaves the table.
 */
const LONGER: Readonly<Record<string, number>> = {};

export function lengths(tree: SourceTree, longer: Readonly<Record<string, number>> = LONGER): Violation[] {
  const found: Violation[] = [];
  const unseen = new Set(Object.keys(longer));
  const judge = (key: string, where: string, lines: number, limit: number): void => {
    unseen.delete(key);
    const allowed = longer[key];
    if (lines > (allowed ?? limit)) {
      found.push(`${where}: "${key}" has ${lines} lines, more than ${allowed ?? limit}`);
    } else if (allowed !== undefined && lines < allowed) {
      const remedy = lines > limit ? `lower its entry to ${lines}` : 'remove its entry';
      found.push(`${where}: "${key}" has shrunk to ${lines} lines: ${remedy} in test/tidy/lengths.ts`);
    }
  };
  for (const file of tree.files.values()) {
    judge(file.path, `${file.path}:1`, file.text.trimEnd().split('\n').length, FILE_LINES_MAX);
    walk(file.root, (node) => {
      if (!isFunction(node)) return;
      const first = lineAt(file, node.getStart(file.root));
      const lines = lineAt(file, node.end) - first + 1;
      judge(`${file.path} ${nameOf(node, file)}`, `${file.path}:${first}`, lines, FUNCTION_LINES_MAX);
    });
  }
  for (const key of unseen) found.push(`${key}: is gone: remove its entry in test/tidy/lengths.ts`);
  return found;
}

function lineAt(file: SourceFile, position: number): number {
  return file.root.getLineAndCharacterOfPosition(position).line + 1;
}

function isFunction(node: ast.Node): boolean {
  return (
    ast.isFunctionDeclaration(node) ||
    ast.isFunctionExpression(node) ||
    ast.isArrowFunction(node) ||
    ast.isMethodDeclaration(node) ||
    ast.isConstructorDeclaration(node) ||
    ast.isGetAccessorDeclaration(node) ||
    ast.isSetAccessorDeclaration(node)
  );
}

/** Methods are called Class.method; a nameless function is called after what it is assigned or passed to. */
function nameOf(node: ast.Node, file: SourceFile): string {
  const own = (node as { name?: ast.Node }).name;
  if (own !== undefined) return qualified(own.getText(file.root), node.parent);
  if (ast.isConstructorDeclaration(node)) return qualified('constructor', node.parent);
  const { parent } = node;
  if (ast.isCallExpression(parent)) {
    const [first] = parent.arguments;
    const title = first !== undefined && ast.isStringLiteral(first) ? ` ${first.text}` : '';
    return `${parent.expression.getText(file.root)}${title}`;
  }
  const holder = (parent as { name?: ast.Node }).name;
  return holder === undefined ? '(nameless)' : holder.getText(file.root);
}

function qualified(name: string, parent: ast.Node): string {
  return ast.isClassDeclaration(parent) && parent.name !== undefined ? `${parent.name.text}.${name}` : name;
}
