import { Button, makeStyles, MessageBar, MessageBarActions, MessageBarBody, MessageBarTitle, tokens } from "@fluentui/react-components";
import { useState } from "react";
import type { TableLevelOutput } from "../../contracts/wire.ts";
import { reloadTable, type TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";

/** More of them are in the table below, and among the messages. */
const shownMax = 20;

const useStyles = makeStyles({ list: { display: "flex", flexDirection: "column", gap: "8px", marginBottom: tokens.spacingVerticalM } });

interface Props {
  readonly tables: readonly TableLevelOutput[];
  readonly taskRef: TaskRef;
}

/** The tables that are left out because of an error: why, what to do, and the button that loads them anew. */
export function SuspendedTables({ tables, taskRef }: Props) {
  const styles = useStyles();
  const suspended = tables.filter(({ state }) => state === "ERROR").slice(0, shownMax);
  if (suspended.length === 0) return null;
  return (
    <div className={styles.list}>
      {suspended.map((table) => (
        <SuspendedTable key={table.id} table={table} taskRef={taskRef} />
      ))}
    </div>
  );
}

function SuspendedTable({ table, taskRef }: { readonly table: TableLevelOutput; readonly taskRef: TaskRef }) {
  const { api } = useApp();
  const [isAsked, setAsked] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const words = texts.migration.suspended;
  const reload = async () => {
    setAsked(true);
    setProblem(undefined);
    try {
      await reloadTable(api, taskRef, table);
    } catch (error) {
      setProblem(error);
      setAsked(false);
    }
  };
  return (
    <>
      <MessageBar intent="error" layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>{words.title(table.tableName)}</MessageBarTitle>
          {table.error?.message} {table.error?.remedy}
        </MessageBarBody>
        <MessageBarActions>
          <Button disabled={isAsked} aria-label={words.reloadOf(table.tableName)} onClick={() => void reload()}>
            {isAsked ? words.reloading : words.reload}
          </Button>
        </MessageBarActions>
      </MessageBar>
      {problem === undefined ? null : <ProblemBar problem={problem} />}
    </>
  );
}
