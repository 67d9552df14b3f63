import { Button, Field, Input, makeStyles, Select, Switch, Text, tokens } from "@fluentui/react-components";
import { ArrowUndoRegular } from "@fluentui/react-icons";
import { settingDefinitions, type SettingDefinition, type SettingName } from "../../contracts/settings.ts";
import { texts } from "../texts.ts";
import type { Draft } from "./draft.ts";

const useStyles = makeStyles({
  row: {
    display: "grid",
    gridTemplateColumns: "minmax(0, 1fr) minmax(160px, 300px) 40px",
    columnGap: tokens.spacingHorizontalL,
    alignItems: "start",
    padding: `${tokens.spacingVerticalM} 0`,
    borderBottom: `1px solid ${tokens.colorNeutralStroke3}`,
    "@media (max-width: 640px)": { gridTemplateColumns: "minmax(0, 1fr) 40px" },
  },
  words: { "@media (max-width: 640px)": { gridColumn: "1 / -1", marginBottom: tokens.spacingVerticalXS } },
  quiet: { color: tokens.colorNeutralForeground2 },
});

/** The settings with one more changed; a value that is the default is no change. */
export function withSetting(settings: Draft["settings"], name: SettingName, value: string): Draft["settings"] {
  const { [name]: _, ...others } = settings;
  return value === settingDefinitions[name].default ? others : { ...others, [name]: value };
}

/** `largeTablePartMB` as people read it: Large table part MB. */
function settingTitle(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").split(" ");
  return words
    .map((word, index) => (index === 0 ? word.charAt(0).toUpperCase() + word.slice(1) : /^[A-Z]{2}/.test(word) ? word : word.toLowerCase()))
    .join(" ");
}

interface Props {
  readonly name: SettingName;
  readonly value: string;
  readonly problem: string | undefined;
  readonly set: (value: string) => void;
}

/** One setting: what it means, its default, and the fitting control. */
export function SettingField({ name, value, problem, set }: Props) {
  const styles = useStyles();
  const definition: SettingDefinition = settingDefinitions[name];
  const isChanged = value !== definition.default;
  return (
    <div className={styles.row}>
      <div className={styles.words}>
        <Text weight="semibold" block>
          {settingTitle(name)}
        </Text>
        <Text block>{definition.help}</Text>
        <Text size={200} className={styles.quiet}>
          {name} · {texts.wizard.settingDefault(definition.default === "" ? texts.wizard.settingEmpty : definition.default)}
        </Text>
      </div>
      <Field {...(problem ? { validationMessage: problem } : {})}>
        <Control name={name} type={definition.type} value={value} set={set} />
      </Field>
      {isChanged ? (
        <Button
          appearance="subtle"
          icon={<ArrowUndoRegular />}
          aria-label={`${texts.wizard.settingReset}: ${name}`}
          title={texts.wizard.settingReset}
          onClick={() => set(definition.default)}
        />
      ) : (
        <span />
      )}
    </div>
  );
}

function Control({ name, type, value, set }: Omit<Props, "problem"> & { readonly type: SettingDefinition["type"] }) {
  const label = settingTitle(name);
  switch (type.kind) {
    case "boolean":
      return (
        <Switch
          aria-label={label}
          label={value === "true" ? texts.wizard.on : texts.wizard.off}
          checked={value === "true"}
          onChange={(_, { checked }) => set(String(checked))}
        />
      );
    case "choice":
      return (
        <Select aria-label={label} value={value} onChange={(_, data) => set(data.value)}>
          {type.values.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </Select>
      );
    case "integer":
      return (
        <Input
          aria-label={label}
          inputMode="numeric"
          value={value}
          contentAfter={type.unit ?? null}
          onChange={(_, data) => set(data.value.trim())}
        />
      );
    case "list":
      return <Input aria-label={label} value={value} placeholder={type.of} onChange={(_, data) => set(data.value)} />;
  }
}
