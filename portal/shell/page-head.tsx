import {
  Breadcrumb,
  BreadcrumbButton,
  BreadcrumbDivider,
  BreadcrumbItem,
  makeStyles,
  mergeClasses,
  Text,
  tokens,
} from "@fluentui/react-components";
import { Fragment, type ReactNode } from "react";
import { hrefOf, type Route } from "../routes.ts";
import { texts } from "../texts.ts";

const useStyles = makeStyles({
  head: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalS, marginBottom: tokens.spacingVerticalL },
  crumbs: { marginLeft: `calc(-1 * ${tokens.spacingHorizontalS})`, "& ol": { flexWrap: "wrap" } },
  titles: { display: "flex", alignItems: "center", gap: tokens.spacingHorizontalM },
  icon: { fontSize: "32px", lineHeight: 1, color: tokens.colorBrandForeground1 },
  subtitle: { color: tokens.colorNeutralForeground2 },
  title: { margin: 0, fontSize: tokens.fontSizeBase600, lineHeight: tokens.lineHeightBase600, fontWeight: tokens.fontWeightSemibold },
  aside: { marginLeft: "auto" },
  commands: {
    display: "flex",
    flexWrap: "wrap",
    alignItems: "center",
    gap: tokens.spacingHorizontalXS,
    padding: `${tokens.spacingVerticalXS} 0`,
    borderBottom: `1px solid ${tokens.colorNeutralStroke2}`,
    "& button": { fontWeight: tokens.fontWeightRegular },
  },
});

interface Props {
  readonly icon: ReactNode;
  readonly title: string;
  readonly subtitle: string;
  readonly crumbs: readonly { readonly name: string; readonly route: Route }[];
  /** The command bar. */
  readonly children?: ReactNode;
  /** Beside the title, at the far end. */
  readonly aside?: ReactNode;
}

/** The head of every screen: the way to it, its title, and what can be done there. */
export function PageHead({ icon, title, subtitle, crumbs, children, aside }: Props) {
  const styles = useStyles();
  return (
    <div className={styles.head}>
      {crumbs.length === 0 ? null : (
        <Breadcrumb size="small" aria-label={texts.shell.breadcrumb} className={mergeClasses(styles.crumbs, "not-on-paper")}>
          {crumbs.map(({ name, route }) => (
            <Fragment key={name}>
              <BreadcrumbItem>
                <BreadcrumbButton as="a" href={hrefOf(route)}>
                  {name}
                </BreadcrumbButton>
              </BreadcrumbItem>
              <BreadcrumbDivider />
            </Fragment>
          ))}
          <BreadcrumbItem>
            <BreadcrumbButton current>{title}</BreadcrumbButton>
          </BreadcrumbItem>
        </Breadcrumb>
      )}
      <div className={styles.titles}>
        <span className={styles.icon} aria-hidden="true">
          {icon}
        </span>
        <div>
          <h1 className={styles.title}>{title}</h1>
          <Text className={styles.subtitle} size={200} block>
            {subtitle}
          </Text>
        </div>
        {aside ? <div className={styles.aside}>{aside}</div> : null}
      </div>
      {children ? (
        <div className={mergeClasses(styles.commands, "not-on-paper")} role="group" aria-label={title}>
          {children}
        </div>
      ) : null}
    </div>
  );
}
