import { Badge, makeStyles, tokens } from "@fluentui/react-components";
import type { FindingView } from "../../contracts/wire.ts";
import { texts } from "../texts.ts";
import { openProblems } from "./migration-view.ts";

const useStyles = makeStyles({ badge: { marginLeft: tokens.spacingHorizontalXS } });

interface Props {
  readonly findings: readonly FindingView[];
  /** It stands alone: who hears the page has to be told what is counted. */
  readonly isAlone?: boolean;
}

/** How many problems still hold, in the colour of the worst; nothing when there is none. */
export function ProblemCount({ findings, isAlone = false }: Props) {
  const styles = useStyles();
  const problems = openProblems(findings);
  if (problems.length === 0) return null;
  const color = problems.some(({ severity }) => severity === "error") ? "danger" : "warning";
  return (
    <Badge className={styles.badge} color={color} size="small" title={texts.findings.title}>
      {problems.length}
      {isAlone ? <span className="visually-hidden">{texts.findings.title}</span> : null}
    </Badge>
  );
}
