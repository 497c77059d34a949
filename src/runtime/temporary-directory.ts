import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity, processNamespace, thisProcess } from './process-identity.ts';

/** Says whose a temporary directory is, to those who come after its process was killed. */
const OWNER_FILE = '.owner';
const PREFIX = 'tidemark-';
/** As mkdtemp makes them. */
const NAME = /^tidemark-[a-zA-Z0-9]{6}$/;

interface Owner extends ProcessIdentity {
  readonly namespace: string;
}

/** A directory of this process, which removes it. Where a process was killed before that, the next one does. */
export function makeTemporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), PREFIX));
  try {
    const owner: Owner = { ...thisProcess(), namespace: processNamespace() };
    writeFileSync(join(path, OWNER_FILE), `${JSON.stringify(owner)}\n`, { flag: 'wx' });
    return path;
  } catch (error) {
    rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Removes what dead processes have left. A directory stays unless it is this user's, was made in this namespace of
 * processes, and its process is certainly gone. Nobody waits for it, and it is tried again with the next one.
 */
export async function sweepTemporaryDirectories(): Promise<void> {
  const root = tmpdir();
  const namespace = processNamespace();
  for (const name of readdirSync(root).filter((each) => NAME.test(each))) {
    const path = join(root, name);
    try {
      if (statSync(path).uid !== (process.getuid?.() ?? 0)) continue;
      const owner = JSON.parse(readFileSync(join(path, OWNER_FILE), 'utf8')) as Owner;
      const isOurs = Number.isInteger(owner.pid) && owner.pid > 0 && owner.namespace === namespace;
      if (isOurs && !isAlive(owner)) await rm(path, { recursive: true, force: true });
    } catch {
      // It is none of ours, or another process is sweeping it.
    }
  }
}
