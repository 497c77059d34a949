// What the style rules look at: every TypeScript file of the project, parsed, with what it imports and exports.
//
// The parser is the one of the TypeScript package, whose programming interface still calls itself unstable. Only
// this file loads it; if a new version changes it, nothing else has to follow.
import { dirname, join, posix } from 'node:path';
import * as ast from 'typescript/unstable/ast';
import { createVirtualFileSystem } from 'typescript/unstable/fs';
import { API } from 'typescript/unstable/sync';

export type Reference = {
  readonly specifier: string;
  /** Path of the file of ours that is meant, or undefined for packages and for what does not exist. */
  readonly target: string | undefined;
  /** 'later' stands for import() and for the path a worker is started from: neither loads with the file. */
  readonly kind: 'import' | 'export' | 'later';
  /** The whole statement is erased by the compiler. */
  readonly typeOnly: boolean;
  /** What is taken of the target; '*' stands for everything. */
  readonly names: readonly string[];
  readonly line: number;
};

export type ExportedName = {
  readonly name: string;
  readonly kind: 'value' | 'type' | 'handed on';
  readonly line: number;
};

export type SourceFile = {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly root: ast.SourceFile;
  readonly references: readonly Reference[];
  readonly exportedNames: readonly ExportedName[];
};

export type SourceTree = { readonly files: ReadonlyMap<string, SourceFile> };

/** What a rule found: `path:line: what is wrong`. */
export type Violation = string;

export function violation(file: SourceFile, where: ast.Node | number, message: string): Violation {
  return `${file.path}:${typeof where === 'number' ? where : lineOf(file.root, where)}: ${message}`;
}

export function loadTree(root: string): SourceTree {
  return parseProject(new API({ cwd: root }), root);
}

/** The same from texts, for the tests of the rules: `{ 'src/core/a.ts': 'export const a = 1;' }`. */
export function treeOf(texts: Readonly<Record<string, string>>): SourceTree {
  const root = '/planted';
  const project = { compilerOptions: { noLib: true, types: [], allowImportingTsExtensions: true } };
  const files: Record<string, string> = { [`${root}/tsconfig.json`]: JSON.stringify(project) };
  for (const [path, text] of Object.entries(texts)) files[`${root}/${path}`] = text;
  return parseProject(new API({ cwd: root, fs: createVirtualFileSystem(files) }), root);
}

function parseProject(api: API, root: string): SourceTree {
  try {
    const config = join(root, 'tsconfig.json');
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
    if (project === undefined) throw new Error(`${config} cannot be opened`);
    const paths = new Map(project.rootFiles.map((name) => [posix.relative(root, name), name]));
    const files = new Map<string, SourceFile>();
    for (const [path, name] of paths) {
      const parsed = project.program.getSourceFile(name);
      if (parsed === undefined) throw new Error(`${path} cannot be parsed`);
      const references = readReferences(path, parsed, (target) => paths.has(target));
      const exportedNames = readExportedNames(parsed);
      files.set(path, { path, text: parsed.text, root: parsed, references, exportedNames });
    }
    return { files };
  } finally {
    api.close();
  }
}

/** Visits a node and all below it, parents first. */
export function walk(node: ast.Node, visit: (node: ast.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

function lineOf(root: ast.SourceFile, node: ast.Node): number {
  return root.getLineAndCharacterOfPosition(node.getStart(root)).line + 1;
}

function isExported(node: ast.Node): boolean {
  const { modifierFlags } = node as Partial<ast.ModifiersBase>;
  return modifierFlags !== undefined && (modifierFlags & ast.ModifierFlags.Export) !== 0;
}

function readReferences(path: string, root: ast.SourceFile, exists: (path: string) => boolean): Reference[] {
  const references: Reference[] = [];
  const add = (
    where: ast.Node,
    to: ast.Node,
    kind: Reference['kind'],
    typeOnly: boolean,
    names: string[],
  ) => {
    if (!ast.isStringLiteral(to) && !ast.isNoSubstitutionTemplateLiteral(to)) return;
    const target = resolve(path, to.text);
    references.push({
      specifier: to.text,
      target: target !== undefined && exists(target) ? target : undefined,
      kind,
      typeOnly,
      names,
      line: lineOf(root, where),
    });
  };
  walk(root, (node) => {
    if (ast.isImportDeclaration(node)) {
      const typeOnly = node.importClause?.phaseModifier === ast.SyntaxKind.TypeKeyword;
      add(node, node.moduleSpecifier, 'import', typeOnly, importedNames(node.importClause, root));
    } else if (ast.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      add(node, node.moduleSpecifier, 'export', node.isTypeOnly, reexportedNames(node.exportClause));
    } else if (ast.isImportTypeNode(node) && ast.isLiteralTypeNode(node.argument)) {
      add(node, node.argument.literal, 'import', true, ['*']);
    } else if (ast.isCallExpression(node) && node.expression.kind === ast.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments;
      if (specifier !== undefined) add(node, specifier, 'later', false, ['*']);
    } else if (ast.isStringLiteral(node) && /^\.\.?\/.*\.js$/.test(node.text)) {
      // The path a worker is started from may go through several hands before it becomes a URL.
      add(node, node, 'later', false, []);
    }
  });
  return references;
}

/** A worker is started from the built file, so its path says .js where the source is .ts. */
function resolve(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.join(dirname(path), specifier).replace(/\.js$/, '.ts');
}

function importedNames(clause: ast.ImportClause | undefined, root: ast.SourceFile): string[] {
  const names: string[] = [];
  if (clause?.name !== undefined) names.push('default');
  const bindings = clause?.namedBindings;
  if (bindings === undefined) return names;
  if (ast.isNamespaceImport(bindings)) return [...names, ...namesTakenOf(bindings.name.text, root)];
  for (const element of bindings.elements) names.push((element.propertyName ?? element.name).text);
  return names;
}

/** The names a file uses of a namespace import, or '*' when the namespace goes somewhere as a whole. */
function namesTakenOf(namespace: string, root: ast.SourceFile): string[] {
  const names: string[] = [];
  let mentions = 0;
  walk(root, (node) => {
    if (ast.isIdentifier(node) && node.text === namespace && !ast.isNamespaceImport(node.parent))
      mentions += 1;
    if (ast.isPropertyAccessExpression(node) && isNamed(node.expression, namespace))
      names.push(node.name.text);
    if (ast.isQualifiedName(node) && isNamed(node.left, namespace)) names.push(node.right.text);
  });
  return mentions > names.length ? ['*'] : names;
}

export function isNamed(node: ast.Node, name: string): boolean {
  return ast.isIdentifier(node) && node.text === name;
}

function reexportedNames(clause: ast.NamedExportBindings | undefined): string[] {
  if (clause === undefined || !ast.isNamedExports(clause)) return ['*'];
  return clause.elements.map((element) => (element.propertyName ?? element.name).text);
}

function readExportedNames(root: ast.SourceFile): ExportedName[] {
  const found: ExportedName[] = [];
  const add = (name: ast.Node | undefined, kind: ExportedName['kind']): void => {
    if (name !== undefined) found.push({ name: name.getText(root), kind, line: lineOf(root, name) });
  };
  for (const statement of root.statements) {
    if (ast.isExportDeclaration(statement) && statement.exportClause !== undefined) {
      const kind = statement.moduleSpecifier === undefined ? 'value' : 'handed on';
      if (!ast.isNamedExports(statement.exportClause)) add(statement.exportClause.name, kind);
      else for (const element of statement.exportClause.elements) add(element.name, kind);
    }
    if (!isExported(statement)) continue;
    if (ast.isTypeAliasDeclaration(statement) || ast.isInterfaceDeclaration(statement)) {
      add(statement.name, 'type');
    } else if (ast.isFunctionDeclaration(statement) || ast.isClassDeclaration(statement)) {
      add(statement.name, 'value');
    } else if (ast.isVariableStatement(statement)) {
      for (const declaration of statement.declarationList.declarations) {
        walk(declaration.name, (node) => {
          // Of `{ deep: { three } }` only three becomes a name.
          const isKey = ast.isBindingElement(node.parent) && node.parent.propertyName === node;
          if (ast.isIdentifier(node) && !isKey) add(node, 'value');
        });
      }
    }
  }
  return found;
}
