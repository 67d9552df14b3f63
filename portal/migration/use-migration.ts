import { isTaskOver } from "../../contracts/lifecycle.ts";
import { usePolled, type Polled } from "../api/polling.ts";
import { getTask, type TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { viewOf, type MigrationView } from "./migration-view.ts";

const refreshMs = 1_500;
const refreshOverMs = 30_000;

/** What was seen of each migration since the page was opened: leaving the screen and coming back keeps the charts. */
const seen = new Map<string, MigrationView>();
/** A page that is open for weeks does not remember every migration it ever showed. */
const seenMax = 8;

/** The migration, read again every second or two while it runs. */
export function useMigration(ref: TaskRef): Polled<MigrationView> {
  const { api } = useApp();
  const key = JSON.stringify(ref);
  const known = seen.get(key);
  const isOver = known !== undefined && isTaskOver(known.task.properties.state);
  const polled = usePolled(key, isOver ? refreshOverMs : refreshMs, async (signal) => {
    const view = viewOf(await getTask(api, ref, "output", signal), seen.get(key), Date.now());
    remember(key, view);
    return view;
  });
  return { ...polled, data: polled.data ?? known };
}

function remember(key: string, view: MigrationView): void {
  seen.delete(key);
  seen.set(key, view);
  const oldest = seen.keys().next().value;
  if (seen.size > seenMax && oldest !== undefined) seen.delete(oldest);
}
