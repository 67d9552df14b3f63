import { SETTING_MAPS, settingDefinitions, type SettingDefinition, type SettingMap } from "../../contracts/settings.ts";
import { UsageError } from "../command-line.ts";

type Maps = Record<SettingMap, Record<string, string>>;

const mapOfSetting = new Map<string, SettingMap>(
  Object.entries<SettingDefinition>(settingDefinitions).map(([name, { map }]) => [name, map]),
);

/**
 * Sorts `key=value` pairs into the maps in which they travel. `map.key=value` names the map; a key that is not known goes to
 * migrationSetting, and the API says that it is not known.
 * @throws UsageError when a pair is none
 */
export function settingMaps(pairs: readonly string[], defaults: Readonly<Record<string, string>>): Maps {
  const maps: Maps = { migrationSetting: { ...defaults }, sourceSetting: {}, targetSetting: {} };
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals < 1) throw new UsageError(`--set must be like key=value, but is "${pair}". The keys are in docs/settings.md.`);
    const [key, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
    const named = SETTING_MAPS.find((map) => key.startsWith(`${map}.`));
    const map = named ?? mapOfSetting.get(key) ?? "migrationSetting";
    maps[map][named ? key.slice(named.length + 1) : key] = value;
  }
  return maps;
}

/**
 * The names of `--tables`; commas inside of quotes belong to a name. Left out: every table.
 * @throws UsageError when it names none, as with a variable of the shell that is not set: that must not mean every table
 */
export function tableNames(text: string | undefined): string[] {
  if (text === undefined) return [];
  const names = (text.match(/(?:"(?:[^"]|"")*"|[^,"])+/g) ?? []).map((name) => name.trim()).filter((name) => name !== "");
  if (names.length === 0) throw new UsageError("--tables names no table. Give schema.table, with commas between them, or leave it out.");
  return names;
}
