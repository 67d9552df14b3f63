import { webDarkTheme, webLightTheme, type Theme } from "@fluentui/react-components";

export const APPEARANCES = ["system", "light", "dark"] as const;
export type Appearance = (typeof APPEARANCES)[number];

const storageKey = "pgdms.appearance";

/** What the user chose the last time; the system's own choice until then. */
export function storedAppearance(): Appearance {
  const stored = localStorage.getItem(storageKey);
  return APPEARANCES.find((appearance) => appearance === stored) ?? "system";
}

export const storeAppearance = (appearance: Appearance): void => localStorage.setItem(storageKey, appearance);

export const darkQuery = "(prefers-color-scheme: dark)";

/** The theme for a choice; `systemIsDark` decides where the choice is the system's. */
export function themeOf(appearance: Appearance, systemIsDark: boolean): Theme {
  const dark = appearance === "dark" || (appearance === "system" && systemIsDark);
  return dark ? webDarkTheme : webLightTheme;
}

export const isDarkTheme = (theme: Theme): boolean => theme === webDarkTheme;
