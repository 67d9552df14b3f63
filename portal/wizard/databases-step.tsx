import { Field, Input, makeStyles, SearchBox, Switch, tokens } from "@fluentui/react-components";
import { useMemo, useState } from "react";
import { PlainTable } from "../shell/plain-table.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { texts } from "../texts.ts";
import { databaseChoices, settingValue, type ChosenDatabase } from "./decisions.ts";
import { withSetting } from "./setting-field.tsx";
import { StepHead } from "./step-head.tsx";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  tools: { display: "flex", flexWrap: "wrap", alignItems: "center", gap: tokens.spacingHorizontalL, marginBottom: tokens.spacingVerticalM },
  box: { width: "18px", height: "18px", accentColor: tokens.colorCompoundBrandBackground, verticalAlign: "middle" },
  target: { width: "100%", maxWidth: "320px" },
});

/** With more databases than this one searches. */
const searchFrom = 8;

/** Tutorial: map each source database to a target database. */
export function DatabasesStep({ draft, change }: StepProps) {
  const styles = useStyles();
  const [search, setSearch] = useState("");
  const choices = useMemo(() => databaseChoices(draft), [draft]);
  const shown = choices.filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()));
  const creates = settingValue(draft, "createDatabase") === "true";
  const { databaseColumns } = texts.wizard;
  const select = ({ name, isSelected }: ChosenDatabase) => change({ selected: { ...draft.selected, [name]: !isSelected } });
  return (
    <>
      <StepHead title={texts.wizard.databasesTitle} help={texts.wizard.databasesHelp} />
      <div className={styles.tools}>
        {choices.length >= searchFrom ? (
          <SearchBox
            aria-label={texts.wizard.searchDatabases}
            placeholder={texts.wizard.searchDatabases}
            value={search}
            onChange={(_, { value }) => setSearch(value)}
          />
        ) : null}
        <Switch
          label={texts.wizard.createDatabases}
          checked={creates}
          onChange={(_, { checked }) => change({ settings: withSetting(draft.settings, "createDatabase", String(checked)) })}
        />
      </div>
      <datalist id="target-databases">
        {draft.targetCheck?.databases.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <PlainTable
        label={texts.wizard.databasesTitle}
        rows={shown}
        keyOf={({ name }) => name}
        minWidthPx={620}
        columns={[
          {
            key: "source",
            title: databaseColumns.source,
            width: "34%",
            cell: (choice) => (
              <label>
                <input
                  type="checkbox"
                  className={styles.box}
                  aria-label={texts.wizard.selectDatabase(choice.name)}
                  checked={choice.isSelected}
                  onChange={() => select(choice)}
                />{" "}
                {choice.name}
              </label>
            ),
          },
          {
            key: "target",
            title: databaseColumns.target,
            width: "36%",
            cell: ({ name, targetName, isSelected }) =>
              isSelected ? (
                <Field className={styles.target}>
                  <Input
                    aria-label={texts.wizard.targetOf(name)}
                    list="target-databases"
                    value={targetName}
                    onChange={(_, { value }) => change({ targetNames: { ...draft.targetNames, [name]: value } })}
                  />
                </Field>
              ) : null,
          },
          { key: "note", title: databaseColumns.note, width: "30%", cell: (choice) => <Note choice={choice} creates={creates} /> },
        ]}
      />
    </>
  );
}

function Note({ choice, creates }: { readonly choice: ChosenDatabase; readonly creates: boolean }) {
  if (!choice.isSelected || choice.existsOnTarget) return null;
  return creates ? (
    <StateBadge tone="waiting">{texts.wizard.targetCreated}</StateBadge>
  ) : (
    <StateBadge tone="bad">{texts.wizard.targetMissing}</StateBadge>
  );
}
