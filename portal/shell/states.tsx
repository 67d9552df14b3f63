import { Button, makeStyles, MessageBar, MessageBarBody, MessageBarTitle, Spinner, Text, Title2, tokens } from "@fluentui/react-components";
import { DatabaseArrowRightRegular } from "@fluentui/react-icons";
import type { ReactNode } from "react";
import type { SessionState } from "../auth/session.ts";
import { texts } from "../texts.ts";

const useStyles = makeStyles({
  center: {
    display: "flex",
    flexDirection: "column",
    alignItems: "center",
    textAlign: "center",
    gap: tokens.spacingVerticalL,
    padding: `${tokens.spacingVerticalXXXL} ${tokens.spacingHorizontalL}`,
    margin: "auto",
    maxWidth: "36rem",
  },
  title: { margin: 0 },
  quiet: { color: tokens.colorNeutralForeground2 },
  icon: { fontSize: "48px", color: tokens.colorBrandForeground1, lineHeight: 1 },
});

export const Starting = () => (
  <main>
    <Loading label={texts.states.starting} />
  </main>
);

export function Loading({ label = texts.common.loading }: { readonly label?: string }) {
  const styles = useStyles();
  return (
    <div className={styles.center}>
      <Spinner label={label} />
    </div>
  );
}

/** What stands where a list would be that has nothing in it yet. */
export function Empty(props: {
  readonly icon?: ReactNode;
  readonly title: string;
  readonly children?: ReactNode;
  readonly action?: ReactNode;
}) {
  const styles = useStyles();
  return (
    <div className={styles.center}>
      {props.icon ? (
        <span className={styles.icon} aria-hidden="true">
          {props.icon}
        </span>
      ) : null}
      <Text as="h3" className={styles.title} size={500} weight="semibold" block>
        {props.title}
      </Text>
      {props.children ? (
        <Text className={styles.quiet} align="center">
          {props.children}
        </Text>
      ) : null}
      {props.action}
    </div>
  );
}

export function SignedOut({ state }: { readonly state: Extract<SessionState, { kind: "signedOut" }> }) {
  const styles = useStyles();
  return (
    <main className={styles.center}>
      <DatabaseArrowRightRegular className={styles.icon} aria-hidden="true" />
      <Title2 as="h1" className={styles.title} align="center">
        {texts.states.signedOutTitle}
      </Title2>
      <Text className={styles.quiet} align="center">
        {texts.states.signedOut}
      </Text>
      {state.problem ? (
        <MessageBar intent="error" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{texts.states.signInFailed}</MessageBarTitle>
            {state.problem}
          </MessageBarBody>
        </MessageBar>
      ) : null}
      <Button appearance="primary" size="large" onClick={() => void state.signIn()}>
        {texts.states.signIn}
      </Button>
    </main>
  );
}

export function FatalError({ problem }: { readonly problem: unknown }) {
  const styles = useStyles();
  return (
    <div className={styles.center} role="alert">
      <Title2 as="h1" className={styles.title} align="center">
        {texts.states.broken}
      </Title2>
      <Text className={styles.quiet} align="center">
        {texts.states.brokenHelp}
      </Text>
      <Text font="monospace">{problem instanceof Error ? problem.message : String(problem)}</Text>
      <Button appearance="primary" onClick={() => window.location.reload()}>
        {texts.states.reload}
      </Button>
    </div>
  );
}
