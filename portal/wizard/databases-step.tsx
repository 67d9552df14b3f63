import { Field, type FieldProps, Input, makeStyles, SearchBox, Switch, tokens } from "@fluentui/react-components";
import { useMemo, useState } from "react";
import { PlainTable } from "../shell/plain-table.tsx";
import { texts } from "../texts.ts";
import { databaseChoices, settingValue, type ChosenDatabase } from "./decisions.ts";
import { withSetting } from "./setting-field.tsx";
import { StepHead } from "./step-head.tsx";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  tools: { display: "flex", flexWrap: "wrap", alignItems: "center", gap: tokens.spacingHorizontalL, marginBottom: tokens.spacingVerticalM },
  box: { width: "18px", height: "18px", accentColor: tokens.colorCompoundBrandBackground, verticalAlign: "middle" },
  target: { width: "100%", maxWidth: "320px", "& .fui-Input": { minWidth: 0 } },
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
        columns={[
          {
            key: "source",
            title: databaseColumns.source,
            width: "40%",
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
            width: "60%",
            cell: (choice) =>
              choice.isSelected ? (
                <Field className={styles.target} {...noteOf(choice, creates)}>
                  <Input
                    aria-label={texts.wizard.targetOf(choice.name)}
                    list="target-databases"
                    value={choice.targetName}
                    onChange={(_, { value }) => change({ targetNames: { ...draft.targetNames, [choice.name]: value } })}
                  />
                </Field>
              ) : null,
          },
        ]}
      />
    </>
  );
}

/** What stands below the name of the target database. */
function noteOf({ existsOnTarget }: ChosenDatabase, creates: boolean): Pick<FieldProps, "hint" | "validationMessage"> {
  if (existsOnTarget) return {};
  return creates ? { hint: texts.wizard.targetCreated } : { validationMessage: texts.wizard.targetMissing };
}
