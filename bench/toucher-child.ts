import { execFileSync } from 'node:child_process';
import { freemem } from 'node:os';

// A process of its own each time: what it has used is given back when it ends, and not before.
const TOUCHED_AT_ONCE = 1e8;
const bytesMax = Number(process.argv[2]);

process.on('message', () => {
  const times = Math.floor(Math.min(bytesMax, freemem() / 2) / TOUCHED_AT_ONCE);
  const script = `const held = []; while (held.length < ${times}) held.push(Buffer.alloc(${TOUCHED_AT_ONCE}, 1));`;
  execFileSync(process.execPath, ['-e', script]);
  process.send?.('touched');
});
