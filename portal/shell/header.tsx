import {
  Button,
  makeStyles,
  Menu,
  MenuItem,
  MenuItemRadio,
  MenuList,
  MenuPopover,
  MenuTrigger,
  Text,
  tokens,
  Tooltip,
} from "@fluentui/react-components";
import { DarkThemeRegular, DatabaseArrowRightRegular, FilterRegular, PersonRegular } from "@fluentui/react-icons";
import { useState } from "react";
import { useApp } from "../app-context.ts";
import { hrefOf } from "../routes.ts";
import { texts } from "../texts.ts";
import { APPEARANCES } from "../theme.ts";
import { ScopeDialog } from "./scope-dialog.tsx";

const onBrand = {
  color: tokens.colorNeutralForegroundOnBrand,
  ":hover": { color: tokens.colorNeutralForegroundOnBrand, backgroundColor: tokens.colorBrandBackgroundHover },
  ":hover:active": { color: tokens.colorNeutralForegroundOnBrand, backgroundColor: tokens.colorBrandBackgroundPressed },
  "&[aria-expanded=true]": { color: tokens.colorNeutralForegroundOnBrand },
} as const;

const useStyles = makeStyles({
  header: {
    display: "flex",
    alignItems: "center",
    gap: tokens.spacingHorizontalS,
    minHeight: "44px",
    padding: `0 ${tokens.spacingHorizontalL}`,
    color: tokens.colorNeutralForegroundOnBrand,
    backgroundColor: tokens.colorBrandBackground,
  },
  brand: { display: "flex", alignItems: "center", gap: tokens.spacingHorizontalS, color: "inherit", textDecorationLine: "none" },
  logo: { fontSize: "24px", lineHeight: 1 },
  long: { "@media (max-width: 640px)": { display: "none" } },
  spring: { flexGrow: 1 },
  onBrand,
  skip: {
    position: "absolute",
    left: "8px",
    top: "-60px",
    zIndex: 10,
    padding: "8px 12px",
    color: tokens.colorBrandForegroundLink,
    backgroundColor: tokens.colorNeutralBackground1,
    ":focus": { top: "6px" },
  },
});

/** The bar on top: where one is, how it looks, and who one is. */
export function Header() {
  const styles = useStyles();
  const { session } = useApp();
  const [scopeOpen, setScopeOpen] = useState(false);
  const skip = (event: React.MouseEvent) => {
    event.preventDefault(); // the part of the address behind # is the page's own
    document.getElementById("content")?.focus();
  };
  return (
    <header className={`${styles.header} not-on-paper`}>
      <a className={styles.skip} href="#content" onClick={skip}>
        {texts.shell.skipToContent}
      </a>
      <a className={styles.brand} href={hrefOf({ page: "services" })}>
        <DatabaseArrowRightRegular className={styles.logo} aria-hidden="true" />
        <Text weight="semibold" size={400}>
          {texts.product}
        </Text>
        <Text className={styles.long}>{texts.productLong}</Text>
      </a>
      <span className={styles.spring} />
      <Tooltip content={texts.shell.scope} relationship="label">
        <Button className={styles.onBrand} appearance="transparent" icon={<FilterRegular />} onClick={() => setScopeOpen(true)} />
      </Tooltip>
      <AppearanceMenu />
      {session.userName === undefined ? null : <AccountMenu userName={session.userName} />}
      <ScopeDialog open={scopeOpen} close={() => setScopeOpen(false)} />
    </header>
  );
}

function AppearanceMenu() {
  const styles = useStyles();
  const { appearance, setAppearance } = useApp();
  return (
    <Menu
      checkedValues={{ appearance: [appearance] }}
      onCheckedValueChange={(_, { checkedItems }) => setAppearance(APPEARANCES.find((choice) => choice === checkedItems[0]) ?? "system")}
    >
      <MenuTrigger disableButtonEnhancement>
        <Tooltip content={texts.shell.appearance} relationship="label">
          <Button className={styles.onBrand} appearance="transparent" icon={<DarkThemeRegular />} />
        </Tooltip>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          {APPEARANCES.map((choice) => (
            <MenuItemRadio key={choice} name="appearance" value={choice}>
              {texts.shell.appearances[choice]}
            </MenuItemRadio>
          ))}
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}

function AccountMenu({ userName }: { readonly userName: string }) {
  const styles = useStyles();
  const { session } = useApp();
  return (
    <Menu>
      <MenuTrigger disableButtonEnhancement>
        <Button className={styles.onBrand} appearance="transparent" icon={<PersonRegular />} aria-label={texts.shell.signedInAs(userName)}>
          <span className={styles.long}>{userName}</span>
        </Button>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <MenuItem onClick={() => void session.signOut()}>{texts.shell.signOut}</MenuItem>
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}
