import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const inFolder = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name));
const pages = [...inFolder("."), ...inFolder("docs"), ...inFolder("docs/decisions")];
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** As GitHub makes anchors of headings: small letters, no punctuation, hyphens for blanks. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");

const anchors = (path: string): string[] => [...read(path).matchAll(/^#+ (.*)$/gm)].map((match) => anchorOf(match[1] ?? ""));

/** The links of a page to files of the project, with the anchor that they name. */
const linksOf = (page: string): { path: string; anchor: string | undefined }[] =>
  [...read(page).matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([, path = "", anchor]) => ({
    path: path === "" ? page : join(dirname(page), path),
    anchor,
  }));

describe("the docs", () => {
  test.each(pages)("%s links to nothing that is not there", (page) => {
    const links = linksOf(page);
    expect(links.filter(({ path }) => !existsSync(join(root, path)))).toEqual([]);
    const withAnchor = links.filter(({ path, anchor }) => anchor !== undefined && path.endsWith(".md"));
    expect(withAnchor.filter(({ path, anchor = "" }) => !anchors(path).includes(anchor))).toEqual([]);
  });

  test.each([
    ["limit of the services before", "docs/classic-limits.md", 25],
    ["trouble of others", "docs/troubles-of-others.md", 50],
  ])("each %s names a test that is there", (_what, page, atLeast) => {
    const rows = read(page)
      .split("\n")
      .filter((line) => line.startsWith("| ") && !/^\| (limit there|where|---)/.test(line));
    expect(rows.length).toBeGreaterThan(atLeast);
    for (const row of rows) {
      const [, path, title = ""] = /\]\(\.\.\/(test\/[^)]+)\) "(.+)"\s*\|$/.exec(row) ?? [];
      expect(path, row).toBeDefined();
      expect(read(path ?? ""), row).toContain(`"${title}"`);
    }
  });
});
