import { workerData } from 'node:worker_threads';
import { storePosition } from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { Random } from './messages.ts';
import { consistentPosition } from './position-values.ts';

const { buffer } = workerData as { buffer: SharedArrayBuffer };
const int32 = new Int32Array(buffer);
const random = new Random(3);

Atomics.store(int32, 8, 1);
while (Atomics.load(int32, 8) === 1) storePosition(int32, 0, consistentPosition(random.next() & 0x1f_ffff));
