// Each scenario once, faster than for people.
// time limit: 120 s
import { test } from 'uvu';
import { play, SCENARIOS } from './scenarios.ts';

for (const scenario of SCENARIOS) {
  test(`${scenario.name}: ${scenario.sentence}`, async () => {
    const lines: string[] = [];
    try {
      await play(scenario, 'fast', (line) => lines.push(line));
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${lines.join('\n')}`, { cause: error });
    }
  });
}

test.run();
