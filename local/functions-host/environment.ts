import { type AppSettings } from "./settings.ts";

/** What stood in the environment before the first host, by name. */
const before = new Map<string, string | undefined>();
const layers: AppSettings[] = [];

/**
 * Puts app settings into `process.env`, as the platform does, until the returned function is called. Hosts may come and go in any
 * order: the youngest that is left wins, and after the last one all is as before.
 */
export function setEnvironment(settings: AppSettings): () => void {
  for (const name of Object.keys(settings)) if (!before.has(name)) before.set(name, process.env[name]);
  layers.push(settings);
  apply();
  return () => {
    layers.splice(layers.indexOf(settings), 1);
    apply();
    if (layers.length === 0) before.clear();
  };
}

function apply(): void {
  for (const [name, original] of before) {
    const value = layers.findLast((layer) => name in layer)?.[name] ?? original;
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
