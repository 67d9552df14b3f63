import { Field, Input, makeStyles, Select, Switch, tokens } from "@fluentui/react-components";
import { texts } from "../texts.ts";
import type { ConnectionDraft, Side } from "./draft.ts";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  form: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalM },
  line: {
    display: "grid",
    gridTemplateColumns: "minmax(0, 1fr) 110px",
    alignItems: "start",
    gap: tokens.spacingHorizontalM,
    "& .fui-Input": { minWidth: 0 },
  },
});

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;

interface Props extends StepProps {
  readonly side: Side;
  /** It was tested before: a missing password then has to be asked for again. */
  readonly wasTested: boolean;
}

/** The fields of one connection. */
export function ConnectionForm({ side, draft, change, unkept, changeUnkept, wasTested }: Props) {
  const styles = useStyles();
  const connection = draft[side];
  const password = unkept.passwords[side];
  const set = (part: Partial<ConnectionDraft>) => change({ [side]: { ...connection, ...part } });
  const forgotten = wasTested && password === "";
  return (
    <form className={styles.form} autoComplete="off" onSubmit={(event) => event.preventDefault()}>
      <div className={styles.line}>
        <Field label={texts.wizard.server} required hint={texts.wizard.serverHelp}>
          <Input value={connection.serverName} onChange={(_, { value }) => set({ serverName: value.trim() })} spellCheck={false} />
        </Field>
        <Field label={texts.wizard.port} {...(isPort(connection.port) ? {} : { validationMessage: texts.wizard.integerBad(1, 65_535) })}>
          <Input value={connection.port} inputMode="numeric" onChange={(_, { value }) => set({ port: value.trim() })} />
        </Field>
      </div>
      <Field label={texts.wizard.database} hint={texts.wizard.databaseHelp}>
        <Input value={connection.databaseName} onChange={(_, { value }) => set({ databaseName: value })} spellCheck={false} />
      </Field>
      <Field label={texts.wizard.login}>
        <Select value={connection.login} onChange={(_, { value }) => set({ login: value === "entra" ? "entra" : "password" })}>
          <option value="password">{texts.wizard.logins.password}</option>
          <option value="entra">{texts.wizard.logins.entra}</option>
        </Select>
      </Field>
      <Field label={texts.wizard.user} required>
        <Input value={connection.userName} onChange={(_, { value }) => set({ userName: value })} spellCheck={false} />
      </Field>
      {connection.login === "entra" ? null : (
        <Field
          label={texts.wizard.password}
          required
          hint={texts.wizard.passwordHelp}
          {...(forgotten ? { validationState: "warning" as const, validationMessage: texts.wizard.passwordAgain } : {})}
        >
          <Input
            type="password"
            autoComplete="new-password"
            value={password}
            onChange={(_, { value }) => changeUnkept({ passwords: { ...unkept.passwords, [side]: value } })}
          />
        </Field>
      )}
      <Field {...(connection.encryptConnection ? {} : { validationState: "warning" as const, validationMessage: texts.wizard.encryptOff })}>
        <Switch
          label={texts.wizard.encrypt}
          checked={connection.encryptConnection}
          onChange={(_, { checked }) => set({ encryptConnection: checked })}
        />
      </Field>
      {connection.encryptConnection ? (
        <Field
          {...(connection.trustServerCertificate ? { validationState: "warning" as const, validationMessage: texts.wizard.trustHelp } : {})}
        >
          <Switch
            label={texts.wizard.trust}
            checked={connection.trustServerCertificate}
            onChange={(_, { checked }) => set({ trustServerCertificate: checked })}
          />
        </Field>
      ) : null}
    </form>
  );
}
