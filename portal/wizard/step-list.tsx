import { makeStyles, mergeClasses, tokens } from "@fluentui/react-components";
import { CheckmarkFilled } from "@fluentui/react-icons";
import { texts } from "../texts.ts";
import { STEPS, type StepName } from "./draft.ts";

const useStyles = makeStyles({
  list: {
    display: "flex",
    flexWrap: "wrap",
    gap: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalXS}`,
    margin: `0 0 ${tokens.spacingVerticalM}`,
    padding: 0,
    listStyleType: "none",
  },
  step: {
    display: "flex",
    alignItems: "center",
    gap: tokens.spacingHorizontalS,
    padding: "6px 12px 6px 8px",
    border: "1px solid transparent",
    borderRadius: tokens.borderRadiusMedium,
    font: "inherit",
    fontSize: tokens.fontSizeBase300,
    color: tokens.colorNeutralForeground2,
    backgroundColor: "transparent",
    cursor: "pointer",
    ":hover": { backgroundColor: tokens.colorSubtleBackgroundHover },
    ":focus-visible": { outline: `2px solid ${tokens.colorStrokeFocus2}` },
  },
  current: {
    color: tokens.colorNeutralForeground1,
    fontWeight: tokens.fontWeightSemibold,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
  },
  dot: {
    display: "inline-flex",
    alignItems: "center",
    justifyContent: "center",
    width: "22px",
    height: "22px",
    borderRadius: "50%",
    fontSize: tokens.fontSizeBase200,
    border: `1px solid ${tokens.colorNeutralStrokeAccessible}`,
  },
  dotCurrent: { color: tokens.colorNeutralForegroundOnBrand, backgroundColor: tokens.colorBrandBackground, border: "0" },
  dotDone: { color: tokens.colorStatusSuccessForeground1, border: `1px solid ${tokens.colorStatusSuccessForeground1}` },
});

interface Props {
  readonly current: StepName;
  readonly steps: readonly StepName[];
  readonly isComplete: (step: StepName) => boolean;
  readonly go: (step: StepName) => void;
}

/** The way through the wizard: where one is, what is done, and a jump to any step that can be entered already. */
export function StepList({ current, steps, isComplete, go }: Props) {
  const styles = useStyles();
  const firstOpen = steps.findIndex((step) => !isComplete(step));
  return (
    <nav aria-label={texts.wizard.stepsLabel}>
      <ol className={styles.list}>
        {steps.map((step, index) => {
          const isCurrent = step === current;
          const isDone = !isCurrent && isComplete(step) && STEPS.indexOf(step) < STEPS.indexOf(current);
          return (
            <li key={step}>
              <button
                type="button"
                className={mergeClasses(styles.step, isCurrent && styles.current)}
                disabled={firstOpen !== -1 && index > firstOpen && !isCurrent}
                aria-current={isCurrent ? "step" : undefined}
                onClick={() => go(step)}
              >
                <span className={mergeClasses(styles.dot, isCurrent && styles.dotCurrent, isDone && styles.dotDone)} aria-hidden="true">
                  {isDone ? <CheckmarkFilled /> : index + 1}
                </span>
                {texts.wizard.steps[step]}
              </button>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}
