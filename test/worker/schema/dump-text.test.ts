import { expect, test } from "vitest";
import { cleanDump } from "../../../worker/schema/dump-text.ts";

const DUMP = `--
-- PostgreSQL database dump
--

\\restrict pRZbKXcnJ8

SET statement_timeout = 0;
SET transaction_timeout = 0;

--
-- Name: SCHEMA "public"; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA "public" IS 'standard public schema';


--
-- Name: azure; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS "azure" WITH SCHEMA "pg_catalog";


--
-- Name: EXTENSION "citext"; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION "citext" IS 'it''s case-insensitive; really';


CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$
SELECT '\\restrict is not at the beginning; COMMENT ON EXTENSION x IS y;'
$$;

\\unrestrict pRZbKXcnJ8
`;

test("what psql alone understands, and what the target's user may not say, is left out; all else stays", () => {
  const clean = cleanDump(DUMP, 170_000);
  expect(clean).not.toMatch(/^\\/m);
  expect(clean).not.toContain('COMMENT ON EXTENSION "citext"');
  expect(clean).not.toContain("COMMENT ON SCHEMA");
  expect(clean).not.toContain("CREATE EXTENSION");
  expect(clean).toContain("SELECT '\\restrict is not at the beginning; COMMENT ON EXTENSION x IS y;'");
  expect(clean).toContain("SET transaction_timeout = 0;");
});

test("a setting that targets before 17 do not know is left out for them", () => {
  expect(cleanDump(DUMP, 160_014)).not.toContain("transaction_timeout");
});
