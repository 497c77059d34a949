// One scenario in a process of its own, driven by its parent: node scenario-child.js NAME
import type { Reply, Task } from './scenario-process.ts';
import { SCENARIOS } from './scenarios.ts';

const [name] = process.argv.slice(2);
const scenario = SCENARIOS[name](name);

async function perform(task: Task): Promise<Partial<Reply>> {
  switch (task.do) {
    case 'start':
      await scenario.start();
      return {};
    case 'round': {
      if (task.runInMs > 0) await scenario.round(task.runInMs, task.recordsPerSecond);
      const before = process.cpuUsage();
      const round = await scenario.round(task.durationMs, task.recordsPerSecond);
      const { user, system } = process.cpuUsage(before);
      return { round: { ...round, cpuMs: (user + system) / 1000 } };
    }
    case 'forget':
      scenario.forget?.();
      return {};
    case 'finish':
      return { isVerified: await scenario.verify(), lags: scenario.lags };
    case 'close':
      await scenario.close();
      process.disconnect();
      return {};
  }
}

process.on('message', async (task: Task) => {
  let reply: Reply;
  try {
    reply = await perform(task);
  } catch (error) {
    reply = { error: (error as Error).stack ?? String(error) };
  }
  if (process.connected) process.send?.(reply);
});
// Ctrl-C reaches the parent too, whose end is what ends this process: then nothing of it stays behind.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => scenario.close().finally(() => process.exit()));
