import { useEffect, useRef, useState } from "react";
import type { ConnectToSourceOutput, ConnectToTargetOutput, Task } from "../../contracts/wire.ts";
import { runShortTask } from "../api/operations.ts";
import { useApp } from "../app-context.ts";
import { connectionInput } from "./decisions.ts";
import { fingerprintOf, type CheckResult, type Side } from "./draft.ts";
import type { StepProps } from "./wizard-page.tsx";

interface ConnectionCheck {
  readonly isRunning: boolean;
  /** Why it does not run yet; null while it runs. */
  readonly waitingFor: string | null;
  /** Why it could not be asked for. */
  readonly problem: unknown;
  readonly run: () => void;
}

/** Tries a connection with a ConnectToSource or ConnectToTarget task; the answer goes into the draft. */
export function useConnectionCheck(props: StepProps & { readonly side: Side }): ConnectionCheck {
  const { serviceRef, location, draft, unkept, change, side } = props;
  const { api } = useApp();
  const [isRunning, setRunning] = useState(false);
  const [waitingFor, setWaitingFor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>();
  const controller = useRef<AbortController>(undefined);
  useEffect(() => () => controller.current?.abort(), []);
  const run = async () => {
    const own = new AbortController();
    controller.current = own;
    setRunning(true);
    setProblem(undefined);
    const fingerprint = fingerprintOf(draft[side]);
    const sourceConnectionInfo = connectionInput(draft.source, unkept.passwords.source);
    const targetConnectionInfo = connectionInput(draft.target, unkept.passwords.target);
    const request =
      side === "source"
        ? { name: "connect-source", taskType: "ConnectToSource.PostgreSql.Sync", input: { sourceConnectionInfo } }
        : {
            name: "connect-target",
            taskType: "ConnectToTarget.AzureDbForPostgreSql.Sync",
            input: { sourceConnectionInfo, targetConnectionInfo },
          };
    try {
      const task = await runShortTask(api, { ...serviceRef, project: draft.projectName }, location, request, setWaitingFor, own.signal);
      const result = resultOf(task, fingerprint);
      change(side === "source" ? { sourceCheck: result } : { targetCheck: result });
    } catch (error) {
      if (!own.signal.aborted) setProblem(error);
    } finally {
      if (!own.signal.aborted) setRunning(false);
    }
  };
  return { isRunning, waitingFor, problem, run: () => void run() };
}

/** A check that reached the server has an output, whatever it found; one that did not has only errors. */
function resultOf(task: Task, fingerprint: string): CheckResult {
  const output = task.properties.output?.[0] as ConnectToSourceOutput | ConnectToTargetOutput | undefined;
  const isConnected = output !== undefined && output.databases.length > 0;
  return {
    fingerprint,
    serverBrandVersion:
      output && ("sourceServerBrandVersion" in output ? output.sourceServerBrandVersion : output.targetServerBrandVersion),
    databases: output?.databases ?? [],
    findings: output?.findings ?? [],
    failures: isConnected
      ? []
      : task.properties.errors.length > 0
        ? task.properties.errors
        : [{ code: task.properties.state, message: "" }],
  };
}
