import { Button, makeStyles, SearchBox, Select, Text, tokens } from "@fluentui/react-components";
import { useDeferredValue, useMemo, useState } from "react";
import type { UserTable } from "../../contracts/wire.ts";
import { formatBytes, formatCount } from "../figures/format.ts";
import { VirtualTable, type Column } from "../shell/virtual-table.tsx";
import { texts } from "../texts.ts";
import { isTableSelected, selectShown, type Selection } from "./decisions.ts";
import type { StepProps } from "./wizard-page.tsx";

const filters: Record<keyof typeof texts.wizard.show, (table: UserTable, isSelected: boolean) => boolean> = {
  all: () => true,
  selected: (_, isSelected) => isSelected,
  withRows: ({ hasRows }) => hasRows,
  noKey: ({ hasKey }) => !hasKey,
};
type Filter = keyof typeof filters;

const useStyles = makeStyles({
  tools: { display: "flex", flexWrap: "wrap", alignItems: "center", gap: tokens.spacingHorizontalM, marginBottom: tokens.spacingVerticalM },
  group: { display: "flex", alignItems: "center", gap: tokens.spacingHorizontalXS },
  count: { marginLeft: "auto" },
  box: { width: "16px", height: "16px", margin: 0, verticalAlign: "middle", accentColor: tokens.colorCompoundBrandBackground },
  warning: { color: tokens.colorStatusWarningForeground1 },
  quiet: { color: tokens.colorNeutralForeground3 },
});

interface Props extends StepProps {
  readonly database: string;
  readonly tables: readonly UserTable[];
}

/** The tables of one database: search, filter, select all, those with rows, none, or one by one. */
export function TablePicker({ draft, change, database, tables }: Props) {
  const styles = useStyles();
  const [search, setSearch] = useState("");
  const [filter, setFilter] = useState<Filter>("all");
  const wanted = useDeferredValue(search.toLowerCase());
  const isSelected = useMemo(() => isTableSelected(draft, database), [draft, database]);
  const shown = useMemo(
    () => tables.filter((table) => table.name.toLowerCase().includes(wanted) && filters[filter](table, isSelected(table))),
    [tables, wanted, filter, isSelected],
  );
  const selected = tables.filter(isSelected);
  const selectedBytes = selected.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const choose = (names: readonly string[]) => {
    const { [database]: _, ...others } = draft.tables;
    // All of them is no choice: tables that are made meanwhile move as well.
    change({ tables: names.length === tables.length ? others : { ...others, [database]: names } });
  };
  const toggle = (table: UserTable) =>
    choose((isSelected(table) ? selected.filter((other) => other !== table) : [...selected, table]).map(({ name }) => name));
  const columns = columnsOf(isSelected, toggle, styles);
  return (
    <>
      <div className={styles.tools}>
        <SearchBox
          aria-label={texts.wizard.searchTables}
          placeholder={texts.wizard.searchTables}
          value={search}
          onChange={(_, { value }) => setSearch(value)}
        />
        <label className={styles.group}>
          <Text>{texts.wizard.showLabel}</Text>
          <Select value={filter} onChange={(_, { value }) => setFilter(value as Filter)}>
            {(Object.keys(filters) as Filter[]).map((name) => (
              <option key={name} value={name}>
                {texts.wizard.show[name]}
              </option>
            ))}
          </Select>
        </label>
        <span className={styles.group} role="group" aria-label={texts.wizard.selectionLabel}>
          <Text>{texts.wizard.selectionLabel}</Text>
          {(Object.keys(texts.wizard.selections) as Selection[]).map((selection) => (
            <Button key={selection} size="small" onClick={() => choose(selectShown(selection, shown, tables, isSelected))}>
              {texts.wizard.selections[selection]}
            </Button>
          ))}
        </span>
        <Text className={styles.count} role="status">
          {texts.wizard.selectedOf(selected.length, tables.length, formatBytes(selectedBytes))}
        </Text>
      </div>
      <VirtualTable
        label={texts.wizard.tablesOf(database)}
        rows={shown}
        columns={columns}
        keyOf={({ name }) => name}
        minWidthPx={620}
        empty={tables.length === 0 ? texts.wizard.noTables : texts.wizard.noTablesMatch}
        sortedBy={{ key: "size", descending: true }}
      />
    </>
  );
}

function columnsOf(
  isSelected: (table: UserTable) => boolean,
  toggle: (table: UserTable) => void,
  styles: ReturnType<typeof useStyles>,
): Column<UserTable>[] {
  const { tableColumns } = texts.wizard;
  return [
    {
      key: "select",
      title: tableColumns.select,
      titleHidden: true,
      width: "24px",
      cell: (table) => (
        <input
          type="checkbox"
          className={styles.box}
          aria-label={texts.wizard.selectTable(table.name)}
          checked={isSelected(table)}
          onChange={() => toggle(table)}
        />
      ),
    },
    { key: "table", title: tableColumns.table, width: "minmax(200px, 2fr)", cell: ({ name }) => name, sortBy: ({ name }) => name },
    {
      key: "rows",
      title: tableColumns.rows,
      width: "minmax(120px, 1fr)",
      align: "end",
      cell: ({ rowsEstimate, hasRows }) =>
        hasRows ? formatCount(rowsEstimate) : <span className={styles.quiet}>{texts.wizard.noRows}</span>,
      sortBy: ({ rowsEstimate }) => rowsEstimate,
    },
    {
      key: "size",
      title: tableColumns.size,
      width: "minmax(90px, 1fr)",
      align: "end",
      cell: ({ sizeBytes }) => formatBytes(sizeBytes),
      sortBy: ({ sizeBytes }) => sizeBytes,
    },
    {
      key: "note",
      title: tableColumns.note,
      width: "minmax(100px, 1fr)",
      cell: ({ hasKey }) => (hasKey ? null : <span className={styles.warning}>{texts.wizard.noKey}</span>),
      sortBy: ({ hasKey }) => Number(hasKey),
    },
  ];
}
