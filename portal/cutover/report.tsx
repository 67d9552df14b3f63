import type { CutoverReport } from "../../contracts/reports.ts";
import { formatDuration } from "../figures/format.ts";
import type { DatabaseView } from "../migration/migration-view.ts";
import { Findings } from "../shell/findings.tsx";
import { PlainTable } from "../shell/plain-table.tsx";
import { Section } from "../shell/section.tsx";
import { texts } from "../texts.ts";
import { ComparedDefinitions } from "./compared-definitions.tsx";
import { ComparedTables } from "./compared-tables.tsx";
import { ReportSummary, Verdict } from "./report-summary.tsx";

/** The whole report of one cutover. */
export function Report({ report, database }: { readonly report: CutoverReport; readonly database: DatabaseView }) {
  const words = texts.report;
  return (
    <>
      <Verdict report={report} />
      <Section title={words.summary}>
        <ReportSummary report={report} />
      </Section>
      <Section title={words.steps}>
        <PlainTable
          label={words.steps}
          rows={report.steps}
          keyOf={({ name }) => name}
          columns={[
            { key: "step", title: words.step, width: "auto", cell: ({ name }) => name },
            {
              key: "duration",
              title: words.duration,
              width: "140px",
              align: "end",
              cell: ({ durationMs }) => formatDuration(durationMs / 1000),
            },
          ]}
        />
      </Section>
      <Section title={words.tables}>
        <ComparedTables tables={database.tables} />
      </Section>
      {report.definitions ? (
        <Section title={words.definitions.title}>
          <ComparedDefinitions definitions={report.definitions} />
        </Section>
      ) : null}
      {database.findings.length > 0 ? (
        <Section title={texts.findings.title}>
          <Findings findings={database.findings} />
        </Section>
      ) : null}
    </>
  );
}
