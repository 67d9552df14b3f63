import { makeStyles, tokens } from "@fluentui/react-components";
import {
  ArrowSyncCircleRegular,
  CheckmarkCircleFilled,
  CircleHintRegular,
  ClockRegular,
  DismissCircleFilled,
  PauseCircleRegular,
  ProhibitedRegular,
  WarningFilled,
} from "@fluentui/react-icons";
import type { ReactNode } from "react";

export type Tone = "good" | "active" | "waiting" | "paused" | "ended" | "warning" | "bad" | "unknown";

const icons: Record<Tone, ReactNode> = {
  good: <CheckmarkCircleFilled />,
  active: <ArrowSyncCircleRegular />,
  waiting: <ClockRegular />,
  paused: <PauseCircleRegular />,
  ended: <ProhibitedRegular />,
  warning: <WarningFilled />,
  bad: <DismissCircleFilled />,
  unknown: <CircleHintRegular />,
};

const useStyles = makeStyles({
  badge: {
    display: "inline-flex",
    alignItems: "center",
    gap: tokens.spacingHorizontalXS,
    minWidth: 0,
    verticalAlign: "middle",
    whiteSpace: "nowrap",
  },
  icon: { display: "inline-flex", flexShrink: 0, fontSize: "16px" },
});

const colors: Record<Tone, string> = {
  good: tokens.colorStatusSuccessForeground1,
  active: tokens.colorBrandForeground1,
  waiting: tokens.colorNeutralForeground3,
  paused: tokens.colorNeutralForeground3,
  ended: tokens.colorNeutralForeground3,
  warning: tokens.colorStatusWarningForeground1,
  bad: tokens.colorStatusDangerForeground1,
  unknown: tokens.colorNeutralForeground3,
};

/** A state in words, with a sign in front of it: never by colour alone. */
export function StateBadge({ tone, children }: { readonly tone: Tone; readonly children: ReactNode }) {
  const styles = useStyles();
  return (
    <span className={styles.badge}>
      <span className={styles.icon} style={{ color: colors[tone] }} aria-hidden="true">
        {icons[tone]}
      </span>
      <span>{children}</span>
    </span>
  );
}
