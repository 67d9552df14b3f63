import { makeStyles, Text, tokens } from "@fluentui/react-components";

const useStyles = makeStyles({
  head: { marginBottom: tokens.spacingVerticalL },
  title: { margin: 0, fontSize: tokens.fontSizeBase500, lineHeight: tokens.lineHeightBase500, fontWeight: tokens.fontWeightSemibold },
  help: { color: tokens.colorNeutralForeground2 },
});

export function StepHead({ title, help }: { readonly title: string; readonly help: string }) {
  const styles = useStyles();
  return (
    <div className={styles.head}>
      <h2 className={styles.title}>{title}</h2>
      <Text className={styles.help} block>
        {help}
      </Text>
    </div>
  );
}
