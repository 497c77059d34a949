// What never stays in the code: leftovers of work, and TypeScript that does not simply erase.
import * as ast from 'typescript/unstable/ast';
import { isNamed, type SourceTree, type Violation, violation, walk } from './tree.ts';

/** Written so that this file, which is read by its own rule, does not hold the words. */
const LEFTOVERS = /\b(TO[D]O|FIX[M]E|XX[X])\b/;

export function leftoversInText(path: string, text: string): Violation[] {
  return text.split('\n').flatMap((line, index) => {
    const match = LEFTOVERS.exec(line);
    return match === null
      ? []
      : [`${path}:${index + 1}: ${match[0]}: do it, or write down what is true today`];
  });
}

export function leftoversInCode(tree: SourceTree): Violation[] {
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    walk(file.root, (node) => {
      if (node.kind === ast.SyntaxKind.DebuggerStatement) found.push(violation(file, node, 'debugger'));
      if (!ast.isCallExpression(node) || !ast.isPropertyAccessExpression(node.expression)) return;
      const { expression: object, name } = node.expression;
      // A skip that depends on the machine is chosen first: `const interop = found ? test : test.skip`.
      const ofTests = isNamed(object, 'test') || isNamed(object, 'suite');
      if (name.text === 'only' || (name.text === 'skip' && ofTests)) {
        found.push(violation(file, node, `${node.expression.getText(file.root)}() leaves tests out`));
      }
    });
  }
  return found;
}

export function erasableSyntax(tree: SourceTree): Violation[] {
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    // A declaration file has nothing to erase: it only tells what stands elsewhere.
    if (file.path.endsWith('.d.ts')) continue;
    walk(file.root, (node) => {
      const name = unwanted(node);
      if (name !== undefined) found.push(violation(file, node, `${name} is not in our TypeScript`));
    });
  }
  return found;
}

function unwanted(node: ast.Node): string | undefined {
  const { modifierFlags = 0 } = node as Partial<ast.ModifiersBase>;
  if (ast.isEnumDeclaration(node)) return 'an enum';
  if (ast.isModuleDeclaration(node)) return 'a namespace';
  if (ast.isExportAssignment(node) || (modifierFlags & ast.ModifierFlags.Default) !== 0)
    return 'a default export';
  const property =
    ast.ModifierFlags.Public |
    ast.ModifierFlags.Private |
    ast.ModifierFlags.Protected |
    ast.ModifierFlags.Readonly;
  if (ast.isParameterDeclaration(node) && (modifierFlags & property) !== 0) return 'a parameter property';
  return undefined;
}
