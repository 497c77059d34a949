// A copy of what was built, in which one piece of one module's text is another one. A hook of the module loader would not
// do: with one, every `import()` goes by another thread, and takes as long as that likes. A run would not be its seed's.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeTemporaryDirectory } from '../../src/runtime/temporary-directory.ts';
import { clusterFaults, type PlantedFault, plantedFaults } from './planted-faults.ts';

const BUILT = fileURLToPath(new URL('../../', import.meta.url));
const PARTS = ['src', 'native-free', 'test'];

/** Calls `use` with the path of the directory that stands for dist/, which is removed afterwards. */
export async function withPlanted<T>(name: string, use: (built: string) => Promise<T>): Promise<T> {
  const fault = [...plantedFaults, ...clusterFaults].find((each) => each.name === name);
  if (fault === undefined) throw new Error(`There is no fault '${name}' to plant.`);
  const directory = makeTemporaryDirectory();
  try {
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }\n');
    for (const part of PARTS)
      cpSync(join(BUILT, part), join(directory, part), { recursive: true, filter: isNeeded });
    plant(fault, directory);
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function isNeeded(path: string): boolean {
  return !basename(path).endsWith('.map') && !basename(path).endsWith('.d.ts');
}

function plant({ name, module, find, replace }: PlantedFault, directory: string): void {
  const path = join(directory, 'src', `${module}.js`);
  const pieces = readFileSync(path, 'utf8').split(find);
  if (pieces.length !== 2)
    throw new Error(
      `'${name}' cannot be planted: '${find}' stands ${pieces.length - 1} times in ${module}, and should once.`,
    );
  writeFileSync(path, pieces.join(replace));
}
