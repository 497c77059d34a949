import { parentPort, workerData } from 'node:worker_threads';
import { ringBell, Sleeper } from '../../../native-free/sharedarraybuffer-utils/index.ts';

interface Orders {
  buffer: SharedArrayBuffer;
  mode: 'sync' | 'async' | 'ringer' | 'sleep for ever';
  rounds: number;
  counter: number;
}

// Words: 0 the other's bell, 16 the other's counter, 32 our bell, 48 our counter.
const { buffer, mode, rounds, counter } = workerData as Orders;
const int32 = new Int32Array(buffer);
const sleeper = new Sleeper(int32, 32);
let round = 1;
const asked = (): boolean => Atomics.load(int32, 16) === round;

function answer(): void {
  Atomics.store(int32, 48, round);
  ringBell(int32, 0);
}

function blockAndAnswer(): void {
  for (; round <= rounds; round += 1) {
    sleeper.sleepSync(asked);
    answer();
  }
}

async function sleepAndAnswer(): Promise<void> {
  const keepAlive = setInterval(() => {}, 1000);
  for (; round <= rounds; round += 1) {
    await sleeper.sleep(asked);
    answer();
  }
  clearInterval(keepAlive);
}

function ringOften(): void {
  for (; round <= rounds; round += 1) {
    Atomics.store(int32, counter, round);
    ringBell(int32, 0);
    // The echo lags when several ringers run, and it does not matter: most rings meet a sleeper.
    for (let spin = 0; spin < 2000 && Atomics.load(int32, counter + 1) !== round; spin += 1);
  }
}

switch (mode) {
  case 'sync':
    blockAndAnswer();
    break;
  case 'async':
    await sleepAndAnswer();
    break;
  case 'ringer':
    ringOften();
    break;
  case 'sleep for ever':
    parentPort?.on('message', () => {});
    await sleeper.sleep(() => false);
    break;
}
