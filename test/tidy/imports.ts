// Imports point downwards only, in no circles, and carry the extension of the file they mean.
import { isBuiltin } from 'node:module';
import { type SourceTree, type Violation, violation } from './tree.ts';

/**
 * The layers, lowest first, and what each may import besides itself. `base` is what lies directly in src: types,
 * errors, limits.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'native-free': [],
  base: ['native-free'],
  core: ['base', 'native-free'],
  wire: ['core', 'log', 'base', 'native-free'],
  log: ['core', 'wire', 'base', 'native-free'],
  api: ['log', 'core', 'wire', 'base', 'native-free'],
  runtime: ['api', 'log', 'core', 'wire', 'base', 'native-free'],
  client: ['runtime', 'api', 'log', 'core', 'wire', 'base', 'native-free'],
  index: ['client', 'runtime', 'api', 'log', 'core', 'wire', 'base', 'native-free'],
  cli: ['index', 'client', 'runtime', 'api', 'log', 'core', 'wire', 'base', 'native-free'],
};

/** The layer of a file, or undefined for bench and test, which may import whatever they measure and check. */
function layerOf(path: string): string | undefined {
  if (path === 'src/index.ts') return 'index';
  const [top, folder, ...below] = path.split('/');
  if (top === 'native-free') return top;
  if (top !== 'src') return undefined;
  return below.length === 0 ? 'base' : folder;
}

export function importDirections(tree: SourceTree): Violation[] {
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    const layer = layerOf(file.path);
    if (layer === undefined) continue;
    const allowed = MAY_IMPORT[layer];
    if (allowed === undefined) {
      found.push(
        violation(file, 1, `there is no layer "${layer}"; the layers stand in test/tidy/imports.ts`),
      );
      continue;
    }
    for (const { specifier, target, line } of file.references) {
      if (layer === 'native-free' && !specifier.startsWith('.') && !isNodeModule(specifier)) {
        found.push(violation(file, line, `native-free is self-contained and may not import ${specifier}`));
      }
      if (target === undefined) continue;
      const targetLayer = layerOf(target) ?? target.slice(0, target.indexOf('/'));
      if (targetLayer !== layer && !allowed.includes(targetLayer)) {
        found.push(violation(file, line, `${layer} may not import ${targetLayer} (${target})`));
      }
    }
  }
  return found;
}

function isNodeModule(specifier: string): boolean {
  return specifier.startsWith('node:') && isBuiltin(specifier);
}

export function importExtensions(tree: SourceTree): Violation[] {
  const found: Violation[] = [];
  for (const file of tree.files.values()) {
    for (const { specifier, kind, line } of file.references) {
      const relative = specifier.startsWith('.');
      if (relative && kind !== 'later' && !specifier.endsWith('.ts')) {
        found.push(violation(file, line, `the import of ${specifier} lacks the extension .ts`));
      }
      if (!relative && !specifier.startsWith('node:') && isBuiltin(specifier)) {
        found.push(violation(file, line, `the import of ${specifier} lacks the prefix node:`));
      }
    }
  }
  return found;
}

/** Circles of files that need each other to load. Imports of types alone are erased and close no circle. */
export function importCircles(tree: SourceTree): Violation[] {
  const found: Violation[] = [];
  const finished = new Set<string>();
  const trail: string[] = [];
  const follow = (path: string): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.push(`${path}:1: imports itself by way of ${[...trail.slice(start), path].join(' -> ')}`);
      return;
    }
    if (finished.has(path)) return;
    trail.push(path);
    for (const { target, typeOnly, kind } of tree.files.get(path)?.references ?? []) {
      if (target !== undefined && !typeOnly && kind !== 'later') follow(target);
    }
    trail.pop();
    finished.add(path);
  };
  for (const path of tree.files.keys()) follow(path);
  return found;
}
