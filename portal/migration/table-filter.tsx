import { makeStyles, SearchBox, Select, Text, tokens } from "@fluentui/react-components";
import { useDeferredValue, useMemo, useState, type ReactNode } from "react";
import { TABLE_STATES, type TableState } from "../../contracts/lifecycle.ts";
import type { TableLevelOutput } from "../../contracts/wire.ts";
import { texts } from "../texts.ts";

const useStyles = makeStyles({
  tools: { display: "flex", flexWrap: "wrap", alignItems: "center", gap: tokens.spacingHorizontalM, marginBottom: tokens.spacingVerticalM },
  group: { display: "flex", alignItems: "center", gap: tokens.spacingHorizontalXS },
  count: { marginLeft: "auto" },
});

export interface FilteredTables {
  readonly shown: readonly TableLevelOutput[];
  /** The search box and the status filter. */
  readonly tools: ReactNode;
}

/** The tables that match what is searched for and the status that is chosen. */
export function useTableFilter(tables: readonly TableLevelOutput[]): FilteredTables {
  const styles = useStyles();
  const [search, setSearch] = useState("");
  const [state, setState] = useState<TableState | "">("");
  const wanted = useDeferredValue(search.toLowerCase());
  const shown = useMemo(
    () => tables.filter((table) => (state === "" || table.state === state) && table.tableName.toLowerCase().includes(wanted)),
    [tables, wanted, state],
  );
  const tools = (
    <div className={styles.tools}>
      <SearchBox
        aria-label={texts.migration.searchTables}
        placeholder={texts.migration.searchTables}
        value={search}
        onChange={(_, { value }) => setSearch(value)}
      />
      <label className={styles.group}>
        <Text>{texts.migration.stateFilter}</Text>
        <Select value={state} onChange={(_, { value }) => setState(TABLE_STATES.find((known) => known === value) ?? "")}>
          <option value="">{texts.migration.anyState}</option>
          {TABLE_STATES.map((name) => (
            <option key={name} value={name}>
              {texts.migration.tableStates[name]}
            </option>
          ))}
        </Select>
      </label>
      <Text className={styles.count} role="status">
        {texts.migration.tablesShown(shown.length, tables.length)}
      </Text>
    </div>
  );
  return { shown, tools };
}
