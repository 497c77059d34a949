import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs with an empty directory that is gone afterwards, also when the test fails. */
export async function withDirectory(run: (path: string) => Promise<void> | void): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  try {
    await run(path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}
