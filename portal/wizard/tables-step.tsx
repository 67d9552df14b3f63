import {
  Button,
  makeStyles,
  MessageBar,
  MessageBarBody,
  MessageBarTitle,
  Select,
  Spinner,
  Tab,
  TabList,
  Text,
  tokens,
} from "@fluentui/react-components";
import { TableSearchRegular } from "@fluentui/react-icons";
import { useEffect, useState } from "react";
import type { UserTable } from "../../contracts/wire.ts";
import { ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";
import { chosenDatabases, isTableSelected, needsPassword, settingValue } from "./decisions.ts";
import { withSetting } from "./setting-field.tsx";
import { StepHead } from "./step-head.tsx";
import { TablePicker } from "./table-picker.tsx";
import { useTableList } from "./use-table-list.ts";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  tabs: { marginBottom: tokens.spacingVerticalM },
  read: { display: "flex", flexDirection: "column", alignItems: "flex-start", gap: tokens.spacingVerticalM },
  bar: { marginBottom: tokens.spacingVerticalM },
  barBody: { minWidth: 0 },
  choice: { maxWidth: "480px", marginTop: tokens.spacingVerticalXS, "& select": { width: "100%", minWidth: 0, textOverflow: "ellipsis" } },
});

/** Tutorial: select tables. */
export function TablesStep(props: StepProps) {
  const styles = useStyles();
  const { draft, unkept } = props;
  const databases = chosenDatabases(draft);
  const [chosen, setChosen] = useState(databases[0]?.name ?? "");
  const list = useTableList(props);
  const isMissing = databases.some(({ name }) => unkept.tableLists[name] === undefined);
  const canRead = !needsPassword(draft.source, unkept.passwords.source);
  // The password is there: nobody should have to press a button for what this step is about.
  useEffect(() => {
    if (isMissing && canRead && !list.isRunning && list.problem === undefined) list.run();
  }, [isMissing, canRead, list]);
  const tables = unkept.tableLists[chosen];
  return (
    <>
      <StepHead title={texts.wizard.tablesTitle} help={texts.wizard.tablesHelp} />
      {databases.length > 1 ? (
        <TabList className={styles.tabs} selectedValue={chosen} onTabSelect={(_, { value }) => setChosen(String(value))}>
          {databases.map(({ name }) => (
            <Tab key={name} value={name}>
              {name}
            </Tab>
          ))}
        </TabList>
      ) : null}
      <div className={styles.read} aria-live="polite">
        {list.problem === undefined ? null : <ProblemBar problem={list.problem} retry={list.run} />}
        {list.isRunning ? <Spinner label={list.waitingFor ? texts.wizard.waiting(list.waitingFor) : texts.wizard.readingTables} /> : null}
        {!tables && !list.isRunning && !canRead ? <Text>{texts.wizard.sourcePasswordForTables}</Text> : null}
        {!tables && !list.isRunning && canRead ? (
          <Button icon={<TableSearchRegular />} onClick={list.run}>
            {texts.wizard.readTables}
          </Button>
        ) : null}
      </div>
      {tables ? (
        <>
          <KeylessBar {...props} database={chosen} tables={tables} />
          <TablePicker key={chosen} {...props} database={chosen} tables={tables} />
        </>
      ) : null}
    </>
  );
}

type KeyChoice = keyof typeof texts.wizard.noKeyChoices;

/** Names the selected tables that changes cannot be followed for, and offers the setting that decides about them. */
function KeylessBar({ draft, change, database, tables }: StepProps & { readonly database: string; readonly tables: readonly UserTable[] }) {
  const styles = useStyles();
  const isSelected = isTableSelected(draft, database);
  const keyless = tables.filter((table) => !table.hasKey && isSelected(table));
  if (keyless.length === 0) return null;
  const value = settingValue(draft, "tablesWithoutKey");
  return (
    <MessageBar intent="warning" layout="multiline" className={styles.bar}>
      <MessageBarBody className={styles.barBody}>
        <MessageBarTitle>{texts.wizard.noKeyTitle(keyless.length)}</MessageBarTitle>
        {texts.wizard.noKeyHelp}
        <Select
          className={styles.choice}
          aria-label={texts.wizard.noKeyHelp}
          value={value}
          onChange={(_, data) => change({ settings: withSetting(draft.settings, "tablesWithoutKey", data.value) })}
        >
          {(Object.keys(texts.wizard.noKeyChoices) as KeyChoice[]).map((choice) => (
            <option key={choice} value={choice}>
              {texts.wizard.noKeyChoices[choice]}
            </option>
          ))}
        </Select>
      </MessageBarBody>
    </MessageBar>
  );
}
