import { errors } from "../contracts/errors.ts";
import { allowedValues, SETTING_MAPS, settingDefinitions, type SettingDefinition } from "../contracts/settings.ts";

/** The pages of the documentation that are made from contracts/. */

export const made = (from: string): string => `<!-- Made from ${from} by "npm run docs". -->`;

/** What would end a cell of a table. */
export const cell = (text: string): string =>
  text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("*", "\\*").replaceAll("<", "&lt;");

export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const maps = {
  migrationSetting: "How the migration is done.",
  sourceSetting: "How the source is read.",
  targetSetting: "How the target is written.",
} as const;

/** docs/settings.md */
export function settingsPage(): string {
  const definitions = Object.entries<SettingDefinition>(settingDefinitions);
  const sections = SETTING_MAPS.map((map) => {
    const rows = definitions
      .filter(([, definition]) => definition.map === map)
      .map(([name, { type, default: preset, help, aliases = [] }]) => [
        `\`${name}\`${aliases.length > 0 ? ` (also ${aliases.map((alias) => `\`${alias}\``).join(", ")})` : ""}`,
        cell(allowedValues(type)),
        preset === "" ? "" : `\`${preset}\``,
        cell(help),
      ]);
    return `## ${map}\n\n${maps[map]}\n\n${table(["setting", "values", "default", "meaning"], rows)}`;
  });
  return `# Settings

${made("contracts/settings.ts")}

Settings travel as texts in three maps of a selected database (\`properties.input.selectedDatabases[]\`). Each has a default that suits
most; an unknown name or a value that is not allowed is refused with 400 before anything is touched. On the command line:
\`npm run migrate -- … --set fullLoadStreams=8\`.

${sections.join("\n\n")}
`;
}

const chapters: readonly (readonly [title: string, about: (code: string) => boolean])[] = [
  ["Connections", (code) => code.startsWith("PG10")],
  ["Checks of source and target", (code) => code.startsWith("PG11")],
  ["The run", (code) => code.startsWith("PG12")],
  ["The API", (code) => !/^PG1[012]/.test(code)],
];

const retries = { backoff: "by itself", operator: "needs a person", never: "cannot go on" } as const;

/** docs/errors.md */
export function errorsPage(): string {
  const sections = chapters.map(([title, isAbout]) => {
    const rows = Object.values(errors)
      .filter(({ code }) => isAbout(code))
      .map(({ code, severity, retry, title: what, remedy }) => [
        `\`${code}\``,
        severity === "error" ? `error, ${retries[retry]}` : severity,
        cell(what),
        cell(remedy),
      ]);
    return `## ${title}\n\n${table(["code", "kind", "what happened", "what to do"], rows)}`;
  });
  return `# Errors

${made("contracts/errors.ts")}

Every answer, task and table that reports something wrong uses one of these. A code keeps its meaning for ever. The message of a
case names the table, role, setting or statement that it is about, and often a more exact remedy than the one here.

_By itself_: pgdms tries again, with growing pauses. _Needs a person_: do what the remedy says, then run the task again.
_Cannot go on_: this migration is over; start a new one.

${sections.join("\n\n")}
`;
}
