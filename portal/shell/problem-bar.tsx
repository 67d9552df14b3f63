import { Button, makeStyles, MessageBar, MessageBarActions, MessageBarBody, MessageBarTitle, tokens } from "@fluentui/react-components";
import type { ErrorDetail } from "../../contracts/wire.ts";
import { ApiError } from "../api/client.ts";
import type { Polled } from "../api/polling.ts";
import { formatTime } from "../figures/format.ts";
import { texts } from "../texts.ts";

const useStyles = makeStyles({ bar: { marginBottom: tokens.spacingVerticalL } });

/** Says why something asked of the API did not work, with all that the answer names. */
export function ProblemBar({ problem, retry }: { readonly problem: unknown; readonly retry?: () => void }) {
  const { title, lines } = describe(problem);
  return (
    <MessageBar intent={problem instanceof ApiError && problem.isOffline ? "warning" : "error"} layout="multiline" role="alert">
      <MessageBarBody>
        <MessageBarTitle>{title}</MessageBarTitle>
        {lines.map((line, index) => (
          <span key={index}>{line} </span>
        ))}
      </MessageBarBody>
      {retry ? (
        <MessageBarActions>
          <Button onClick={retry}>{texts.common.retry}</Button>
        </MessageBarActions>
      ) : null}
    </MessageBar>
  );
}

/** The bar of something that is asked for again and again: nothing while it works. */
export function PolledProblem({ polled }: { readonly polled: Polled<unknown> }) {
  const styles = useStyles();
  if (!polled.error) return null;
  if (!polled.error.isOffline || polled.readAtMs === undefined) {
    return (
      <div className={styles.bar}>
        <ProblemBar problem={polled.error} retry={polled.refresh} />
      </div>
    );
  }
  const since = texts.states.offlineSince(formatTime(new Date(polled.readAtMs).toISOString()));
  return (
    <MessageBar className={styles.bar} intent="warning" role="alert">
      <MessageBarBody>
        <MessageBarTitle>{texts.states.offlineTitle}</MessageBarTitle>
        {since}
      </MessageBarBody>
      <MessageBarActions>
        <Button onClick={polled.refresh}>{texts.common.retry}</Button>
      </MessageBarActions>
    </MessageBar>
  );
}

function describe(problem: unknown): { readonly title: string; readonly lines: readonly string[] } {
  if (!(problem instanceof ApiError))
    return { title: texts.states.failedTitle, lines: [problem instanceof Error ? problem.message : String(problem)] };
  if (problem.isOffline) return { title: texts.states.offlineTitle, lines: [texts.states.offline] };
  if (problem.status === 401) return { title: texts.states.expired, lines: detailLines(problem.detail) };
  if (problem.status === 403) return { title: texts.states.forbiddenTitle, lines: detailLines(problem.detail) };
  if (problem.status === 404) return { title: texts.states.notFoundTitle, lines: [texts.states.notFound, ...detailLines(problem.detail)] };
  return { title: problem.detail.code, lines: detailLines(problem.detail) };
}

/** The message of an error and of every one below it, with the field that each is about. */
export function detailLines({ message, target, details }: ErrorDetail): string[] {
  const own = target && !message.includes(target) ? `${target}: ${message}` : message;
  return [own, ...(details ?? []).flatMap(detailLines)];
}
