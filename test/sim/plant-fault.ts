// Loaded before a simulation with `--import`: replaces one piece of one module's text. The environment says which.
import { register } from 'node:module';
import { clusterFaults, plantedFaults } from './planted-faults.ts';

const FAULT_VARIABLE = 'TIDEMARK_SIM_FAULT';

const fault = [...plantedFaults, ...clusterFaults].find(({ name }) => name === process.env[FAULT_VARIABLE]);
if (fault === undefined) throw new Error(`There is no fault '${process.env[FAULT_VARIABLE]}' to plant.`);

const hooks = `
const { module, find, replace } = ${JSON.stringify(fault)};
export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  if (!url.endsWith('/src/' + module + '.js')) return loaded;
  const source = loaded.source.toString();
  const pieces = source.split(find);
  if (pieces.length !== 2) throw new Error('"' + find + '" stands in ' + url + ' ' + (pieces.length - 1) + ' times, and should once.');
  return { ...loaded, source: pieces.join(replace) };
}
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
