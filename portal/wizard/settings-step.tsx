import { Accordion, AccordionHeader, AccordionItem, AccordionPanel } from "@fluentui/react-components";
import { SETTING_MAPS, settingDefinitions, type SettingMap, type SettingName } from "../../contracts/settings.ts";
import { texts } from "../texts.ts";
import { settingProblems, settingValue } from "./decisions.ts";
import { SettingField, withSetting } from "./setting-field.tsx";
import { StepHead } from "./step-head.tsx";
import type { StepProps } from "./wizard-page.tsx";

/** What people do change now and then; everything else is behind a fold. */
const everyday: readonly SettingName[] = [
  "migrateSchema",
  "createDatabase",
  "onExistingRows",
  "tablesWithoutKey",
  "fence",
  "compareAtCutover",
];

/** The steps before this one ask for these: they exist for clients that cannot send the connection's own fields. */
const askedElsewhere: readonly SettingName[] = ["encryptSource", "trustSourceCertificate", "encryptTarget", "trustTargetCertificate"];

const names = Object.keys(settingDefinitions) as SettingName[];

const advanced = (map: SettingMap): SettingName[] =>
  names.filter((name) => settingDefinitions[name].map === map && !everyday.includes(name) && !askedElsewhere.includes(name));

/** Tutorial: migration settings. The form is made from the list that the service parses them with. */
export function SettingsStep({ draft, change }: StepProps) {
  const problems = settingProblems(draft);
  const field = (name: SettingName) => (
    <SettingField
      key={name}
      name={name}
      value={settingValue(draft, name)}
      problem={problems.find(({ path }) => path.endsWith(`.${name}`))?.message}
      set={(value) => change({ settings: withSetting(draft.settings, name, value) })}
    />
  );
  return (
    <>
      <StepHead title={texts.wizard.settingsTitle} help={texts.wizard.settingsHelp} />
      {everyday.map(field)}
      <Accordion multiple collapsible>
        {SETTING_MAPS.map((map) => (
          <AccordionItem key={map} value={map}>
            <AccordionHeader as="h3">{texts.wizard.settingsAdvanced[map]}</AccordionHeader>
            <AccordionPanel>{advanced(map).map(field)}</AccordionPanel>
          </AccordionItem>
        ))}
      </Accordion>
    </>
  );
}
