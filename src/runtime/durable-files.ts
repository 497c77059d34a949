import { open } from 'node:fs/promises';

/** Makes durable which files a directory holds. Windows has no such thing, and needs none. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
