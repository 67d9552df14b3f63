import { errors, type ErrorKind } from "../contracts/errors.ts";
import { allMigrationChecks } from "../worker/validation/check-migration.ts";
import { allSourceChecks } from "../worker/validation/check-server.ts";
import { targetServerChecks } from "../worker/validation/target-server.ts";
import { cell, made, table } from "./docs-pages.ts";

/** docs/checks.md: every check, in the order in which they are made. */
export function checksPage(): string {
  const rows = allMigrationChecks.flatMap(({ kind, alsoFinds = [], alsoOnResume = false }) =>
    [kind, ...alsoFinds].map((found) => {
      const { code, severity, title, remedy } = errors[found];
      return [`\`${code}\``, severity, cell(title), cell(remedy), when(kind, alsoOnResume)];
    }),
  );
  return `# Checks

${made("worker/validation")}

A migration says what will not work before it touches anything. The checks run by themselves at three moments, and whenever you like:

- the tasks \`ConnectToSource…\` and \`ConnectToTarget…\` make those of their server (the test of the connection in the portal);
- every migration makes all of them before its first step; an error ends it as \`FailedInputValidation\`, and nothing was changed;
- a migration that is taken up again makes those that are marked with _resume_;
- on their own: \`npm run check-databases -- --source postgres://user@host/database --target postgres://user@host/database\`, with
  \`--tables\` and \`--set key=value\` as the migration will have them. Exit code 0: no errors, 1: errors, 2: wrong arguments. \`--json\`
  gives the report to a program.

An error refuses the migration; a warning or an information does not. A finding names the table, role or setting, and most often the
exact statement that mends it. \`skipChecks\` (for example \`--set skipChecks=PG1143\`) leaves checks out by their code; the report then
says which (\`${errors.CheckSkipped.code}\`), never silently. A check that the server refuses is a finding of its own (\`${errors.CheckFailed.code}\`).

Not checked, but found while connecting: \`PG10…\` of [errors.md](errors.md).

A **standby** as source is refused (\`${errors.SourceInRecovery.code}\`), also where PostgreSQL could decode there (16 and later): the cutover proves the end of the
changes with a marker that it writes to the source, and nothing can be written to a standby. Give the primary.

**Another migration of the same source database**, to another target, is allowed and told (\`${errors.AnotherMigrationRuns.code}\`). A slot or publication of ours that no
session works with is an error (\`${errors.LeftoverOfEarlierRun.code}\`), with the statements that drop it: such a slot fills the source's disk.

${table(["code", "kind", "what is found", "what to do", "made when"], rows)}
`;
}

const connectSource = new Set<ErrorKind>(allSourceChecks.map(({ kind }) => kind));
const connectTarget = new Set<ErrorKind>([...targetServerChecks.map(({ kind }) => kind), "TargetVersionLower"]);

const when = (kind: ErrorKind, alsoOnResume: boolean): string =>
  [
    ...(connectSource.has(kind) ? ["connect to source"] : []),
    ...(connectTarget.has(kind) ? ["connect to target"] : []),
    "migration",
    ...(alsoOnResume ? ["_resume_"] : []),
  ].join(", ");
