import { describe, expect, test } from "vitest";
import { connectionOf } from "../../local/migrate/connection-url.ts";
import { settingMaps, tableNames } from "../../local/migrate/settings.ts";

const read = (text: string, password?: string) => connectionOf("--source", text, password);

describe("the URL of a database", () => {
  const cases = [
    ["postgres://ann@db.example.net/listdb", { serverName: "db.example.net", port: 5432, databaseName: "listdb", userName: "ann" }],
    ["postgresql://ann:p%40ss%25@h:6000/a%20b", { port: 6000, databaseName: "a b", password: "p@ss%" }],
    ["postgres://ann@[::1]:5433/d", { serverName: "::1", port: 5433 }],
    ["postgres://ann@h/d", { encryptConnection: true, trustServerCertificate: false }],
    ["postgres://ann@h/d?sslmode=disable", { encryptConnection: false }],
    ["postgres://ann@h/d?sslmode=require", { encryptConnection: true, trustServerCertificate: true }],
    ["postgres://ann@h/d?sslmode=verify-full", { encryptConnection: true, trustServerCertificate: false }],
  ] as const;
  test.each(cases)("%s is understood", (text, expected) => {
    expect(read(text)).toMatchObject(expected);
  });

  test("a password of the environment is taken where the URL has none", () => {
    expect(read("postgres://ann@h/d", "from-env").password).toBe("from-env");
    expect(read("postgres://ann:from-url@h/d", "from-env").password).toBe("from-url");
  });

  const refused = [
    ["db.example.net", /--source is not the URL of a PostgreSQL database/],
    ["mysql://ann@h/d", /--source is not the URL of a PostgreSQL database/],
    ["postgres://h/d", /must name user, host and database/],
    ["postgres://ann@h", /must name user, host and database/],
    ["postgres://ann@h/d?sslmode=maybe", /sslmode must be one of disable, /],
    ["postgres://ann@h/d?options=-c", /parameter "options" is not known/],
    ["postgres://ann:100%@h/d", /must be written as %25/],
  ] as const;
  test.each(refused)("%s is refused with a reason, never with the password", (text, reason) => {
    expect(() => read(text)).toThrow(reason);
    expect(() => read(text.replace("ann@", "ann:secret@"))).toThrow(/^(?!.*secret)/s);
  });
});

test("a URL that is left out is asked for by name", () => {
  expect(() => connectionOf("--target", undefined, undefined)).toThrow(/--target is missing/);
});

describe("tables on the command line", () => {
  test("are split at commas that are not in quotes; left out, they are all", () => {
    expect(tableNames(' public.a,"odd, name"."b""c" ')).toEqual(["public.a", '"odd, name"."b""c"']);
    expect(tableNames(undefined)).toEqual([]);
  });

  test.each(["", " ", ","])("%j names none, which must not mean all", (text) => {
    expect(() => tableNames(text)).toThrow("--tables names no table");
  });
});

describe("settings on the command line", () => {
  test("travel in the map that they belong to", () => {
    expect(settingMaps(["fullLoadStreams=8", "plugin=pgoutput", "indexBuilders=4"], { migrateSchema: "true" })).toEqual({
      migrationSetting: { migrateSchema: "true", fullLoadStreams: "8" },
      sourceSetting: { plugin: "pgoutput" },
      targetSetting: { indexBuilders: "4" },
    });
  });

  test("may name their map, hold an equals sign, and override a default", () => {
    expect(
      settingMaps(["targetSetting.encryptConnection=false", "includeTables=a=b", "migrateSchema=false"], { migrateSchema: "true" }),
    ).toEqual({
      migrationSetting: { migrateSchema: "false", includeTables: "a=b" },
      sourceSetting: {},
      targetSetting: { encryptConnection: "false" },
    });
  });

  test("that are not known are left for the API to refuse", () => {
    expect(settingMaps(["nonsense=1"], {}).migrationSetting).toEqual({ nonsense: "1" });
  });

  test.each(["fullLoadStreams", "=8"])("%s is not a pair", (pair) => {
    expect(() => settingMaps([pair], {})).toThrow(/--set must be like key=value/);
  });
});
