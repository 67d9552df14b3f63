import { makeStyles, Text, tokens } from "@fluentui/react-components";
import type { DefinitionDifference, DefinitionsReport } from "../../contracts/reports.ts";
import { NOTHING } from "../figures/format.ts";
import { dotWord } from "../shell/dot-word.tsx";
import { PlainTable } from "../shell/plain-table.tsx";
import { texts } from "../texts.ts";

const useStyles = makeStyles({
  definition: {
    margin: 0,
    fontFamily: tokens.fontFamilyMonospace,
    fontSize: tokens.fontSizeBase200,
    whiteSpace: "pre-wrap",
    overflowWrap: "anywhere",
  },
  verdict: { display: "block", marginBottom: tokens.spacingVerticalM },
});

const words = texts.report.definitions;

/** What the catalogs of both sides say otherwise of each other, with both definitions. */
export function ComparedDefinitions({ definitions }: { readonly definitions: DefinitionsReport }) {
  const styles = useStyles();
  const { compared, missing, different, onlyOnTarget, differences } = definitions;
  const definition = (text: string | null) => (text === null ? NOTHING : <pre className={styles.definition}>{text}</pre>);
  return (
    <>
      <Text className={styles.verdict}>
        {words.verdict(compared, missing, different, onlyOnTarget)}
        {differences.length < missing + different + onlyOnTarget ? ` ${words.someShown(differences.length)}` : ""}
      </Text>
      {differences.length > 0 ? (
        <PlainTable
          label={words.title}
          rows={differences}
          keyOf={({ kind, name }) => `${kind} ${name}`}
          minWidthPx={720}
          columns={[
            { key: "object", title: words.object, width: "24%", cell: ({ kind, name }) => `${kind} ${name}` },
            { key: "what", title: words.what, width: "130px", cell: whatDiffers },
            { key: "source", title: words.source, width: "auto", cell: ({ source }) => definition(source) },
            { key: "target", title: words.target, width: "auto", cell: ({ target }) => definition(target) },
          ]}
        />
      ) : null}
    </>
  );
}

function whatDiffers({ source, target }: DefinitionDifference) {
  if (target === null) return dotWord("bad", words.missing);
  return source === null ? dotWord("none", words.onlyOnTarget) : dotWord("bad", words.different);
}
