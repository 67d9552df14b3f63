import { Button, makeStyles, Text, tokens } from "@fluentui/react-components";
import { CheckmarkRegular, CopyRegular, DismissCircleFilled, InfoFilled, WarningFilled } from "@fluentui/react-icons";
import { useState } from "react";
import type { FindingView } from "../../contracts/wire.ts";
import { formatDateTime } from "../figures/format.ts";
import { texts } from "../texts.ts";

/** A remedy that is a statement looks like one. */
const statement = /^(ALTER|COMMIT|CREATE|DROP|GRANT|REVOKE|ROLLBACK|SELECT|TRUNCATE|UPDATE)\b/;

const order = { error: 0, warning: 1, information: 2 } as const;
const icons = { error: <DismissCircleFilled />, warning: <WarningFilled />, information: <InfoFilled /> };
const colors = {
  error: tokens.colorStatusDangerForeground1,
  warning: tokens.colorStatusWarningForeground1,
  information: tokens.colorBrandForeground1,
} as const;

const useStyles = makeStyles({
  list: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalS, margin: 0, padding: 0, listStyleType: "none" },
  item: {
    display: "grid",
    gridTemplateColumns: "20px minmax(0, 1fr)",
    columnGap: tokens.spacingHorizontalS,
    padding: tokens.spacingHorizontalM,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: tokens.colorNeutralBackground1,
  },
  icon: { fontSize: "18px", lineHeight: 1 },
  meta: { color: tokens.colorNeutralForeground2 },
  remedy: {
    display: "grid",
    gridTemplateColumns: "minmax(0, 1fr) auto",
    alignItems: "start",
    marginTop: tokens.spacingVerticalS,
    padding: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalS}`,
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: tokens.colorNeutralBackground3,
  },
  remedyText: { whiteSpace: "pre-wrap" },
});

/** Errors, warnings and notes, the worst first, each with what to do about it, ready to be copied. */
export function Findings({ findings }: { readonly findings: readonly FindingView[] }) {
  const styles = useStyles();
  const [withNotes, setWithNotes] = useState(false);
  const sorted = findings.toSorted((a, b) => order[a.severity] - order[b.severity]);
  const notes = sorted.filter(({ severity, resolved }) => severity === "information" || resolved);
  const shown = withNotes ? sorted : sorted.filter((finding) => !notes.includes(finding));
  return (
    <>
      <ul className={styles.list}>
        {shown.map((finding, index) => (
          <Item key={`${finding.code} ${finding.subject ?? ""} ${index}`} finding={finding} />
        ))}
      </ul>
      {notes.length > 0 ? (
        <div>
          <Button size="small" appearance="subtle" onClick={() => setWithNotes(!withNotes)}>
            {withNotes ? texts.findings.hideInformation : texts.findings.showInformation(notes.length)}
          </Button>
        </div>
      ) : null}
    </>
  );
}

function Item({ finding }: { readonly finding: FindingView }) {
  const styles = useStyles();
  const { severity, code, message, remedy, sqlState, since, resolved } = finding;
  const place = [finding.databaseName, finding.table ?? finding.subject].filter(Boolean).join(" · ");
  const meta = [
    resolved ? texts.findings.resolved : texts.findings.severity[severity],
    code,
    sqlState && `SQLSTATE ${sqlState}`,
    place,
    since && texts.findings.since(formatDateTime(since)),
  ];
  return (
    <li className={styles.item}>
      <span className={styles.icon} style={{ color: colors[severity] }} aria-hidden="true">
        {icons[severity]}
      </span>
      <div>
        <Text weight="semibold">{message}</Text>
        <Text className={styles.meta} size={200} block>
          {meta.filter(Boolean).join(" · ")}
        </Text>
        {remedy ? (
          <div className={styles.remedy}>
            <Text className={styles.remedyText} font={statement.test(remedy) ? "monospace" : "base"}>
              {remedy}
            </Text>
            <CopyButton text={remedy} />
          </div>
        ) : null}
      </div>
    </li>
  );
}

const copiedMs = 2_000;

function CopyButton({ text }: { readonly text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), copiedMs);
  };
  return (
    <Button
      size="small"
      appearance="subtle"
      icon={copied ? <CheckmarkRegular /> : <CopyRegular />}
      aria-label={copied ? texts.common.copied : texts.findings.copyRemedy}
      title={copied ? texts.common.copied : texts.findings.copyRemedy}
      onClick={() => void copy()}
    />
  );
}
