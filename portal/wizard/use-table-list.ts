import { useEffect, useRef, useState } from "react";
import type { UserTablesOutput } from "../../contracts/wire.ts";
import { ApiError } from "../api/client.ts";
import { runShortTask } from "../api/operations.ts";
import { useApp } from "../app-context.ts";
import { chosenDatabases, connectionInput } from "./decisions.ts";
import type { StepProps } from "./wizard-page.tsx";

/** Lists the tables of the chosen databases with a GetUserTables task. */
export function useTableList({ serviceRef, location, draft, unkept, changeUnkept }: StepProps) {
  const { api } = useApp();
  const [isRunning, setRunning] = useState(false);
  const [waitingFor, setWaitingFor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>();
  const controller = useRef<AbortController>(undefined);
  useEffect(() => () => controller.current?.abort(), []);
  const read = async () => {
    const own = new AbortController();
    controller.current = own;
    setRunning(true);
    setProblem(undefined);
    const selectedDatabases = chosenDatabases(draft).map(({ name }) => name);
    const input = { connectionInfo: connectionInput(draft.source, unkept.passwords.source), selectedDatabases };
    const request = { name: "list-tables", taskType: "GetUserTablesPostgreSql", input };
    try {
      const task = await runShortTask(api, { ...serviceRef, project: draft.projectName }, location, request, setWaitingFor, own.signal);
      const outputs = (task.properties.output ?? []) as readonly UserTablesOutput[];
      if (outputs.length === 0)
        throw new ApiError(400, task.properties.errors[0] ?? { code: task.properties.state, message: task.properties.state });
      changeUnkept({
        tableLists: { ...unkept.tableLists, ...Object.fromEntries(outputs.map((output) => [output.databaseName, output.tables])) },
      });
    } catch (error) {
      if (!own.signal.aborted) setProblem(error);
    } finally {
      if (!own.signal.aborted) setRunning(false);
    }
  };
  return { isRunning, waitingFor, problem, run: () => void read() };
}
