import { execFileSync } from 'node:child_process';
import { freemem } from 'node:os';

// A process of its own each time: what it has used is given back when it ends, and not before.
const TOUCHED_AT_ONCE = 1e8;
/** More than all of one run of the bench has in its logs and in its processes. */
const TOUCHED_BYTES = 6e9;

process.on('message', () => {
  const times = Math.floor(Math.min(TOUCHED_BYTES, freemem() / 2) / TOUCHED_AT_ONCE);
  const script = `const held = []; while (held.length < ${times}) held.push(Buffer.alloc(${TOUCHED_AT_ONCE}, 1));`;
  execFileSync(process.execPath, ['-e', script]);
  process.send?.('touched');
});
