import { Command } from 'commander';
import { describeProperties } from '../config.ts';
import type { Terminal } from './command-line.ts';

export function topicPropertiesCommand(terminal: Terminal): Command {
  return new Command('topic-properties')
    .description('what a topic can be configured with: names, defaults, values')
    .option('--json', 'one JSON array, for programs')
    .addHelpText(
      'after',
      "\nThe names are Kafka's. They go into `config` of Cluster.start (for all topics) and of createTopic.",
    )
    .action(({ json }: { json?: true }) => {
      if (json) {
        terminal.out(`${JSON.stringify(describeProperties(), null, 2)}\n`);
        return;
      }
      for (const { name, default: usual, memoryDefault, values, help } of describeProperties()) {
        const inMemory = memoryDefault === undefined ? '' : `; with durability memory ${memoryDefault}`;
        terminal.out(`${name}\n  ${help}\n  Default ${usual}${inMemory}. Values: ${values}.\n`);
      }
    });
}
