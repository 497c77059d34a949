#!/usr/bin/env node
import { writeSync } from 'node:fs';
import { OutputClosed } from './command-line.ts';
import { runCommandLine } from './program.ts';

const STDOUT = 1;
const STDERR = 2;

/** All of it before it returns: a dump of a gigabyte must not gather in memory because its reader is slow. */
function write(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A pipe that does not block is full at this moment.
      if (code === 'EAGAIN') continue;
      if (code === 'EPIPE') throw new OutputClosed();
      throw error;
    }
  }
}

process.exitCode = await runCommandLine(process.argv.slice(2), {
  out: (text) => write(STDOUT, text),
  err: (text) => write(STDERR, text),
  showsProgress: process.stderr.isTTY === true,
});
