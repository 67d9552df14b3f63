import { makeStyles, mergeClasses, tokens } from "@fluentui/react-components";
import type { ReactNode } from "react";

const useStyles = makeStyles({
  section: {
    padding: `${tokens.spacingVerticalL} ${tokens.spacingHorizontalL}`,
    marginBottom: tokens.spacingVerticalL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusLarge,
    "@media print": { border: 0, padding: `${tokens.spacingVerticalM} 0` },
  },
  head: { display: "flex", flexWrap: "wrap", alignItems: "center", gap: tokens.spacingHorizontalM, marginBottom: tokens.spacingVerticalM },
  title: { margin: 0, fontSize: tokens.fontSizeBase400, lineHeight: tokens.lineHeightBase400, fontWeight: tokens.fontWeightSemibold },
  aside: { marginLeft: "auto" },
});

/** A part of a screen, on a surface of its own. */
export function Section(props: {
  readonly title?: string;
  readonly aside?: ReactNode;
  readonly children: ReactNode;
  readonly className?: string;
}) {
  const styles = useStyles();
  return (
    <section className={mergeClasses(styles.section, props.className)} {...(props.title ? { "aria-label": props.title } : {})}>
      {props.title ? (
        <div className={styles.head}>
          <h2 className={styles.title}>{props.title}</h2>
          {props.aside ? <div className={mergeClasses(styles.aside, "not-on-paper")}>{props.aside}</div> : null}
        </div>
      ) : null}
      {props.children}
    </section>
  );
}
