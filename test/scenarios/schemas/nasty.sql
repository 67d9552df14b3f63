-- What breaks careless SQL: reserved words, quotes, dots, newlines and other alphabets in every kind of name, names of 63
-- bytes, the same names in several schemas, and every kind of constraint and index.

CREATE EXTENSION btree_gist;
CREATE EXTENSION citext;
CREATE SCHEMA "select";
CREATE SCHEMA "a.b";
CREATE SCHEMA "with ""quotes""";
CREATE SCHEMA "new
line";
CREATE SCHEMA "схема 表";

-- the same name everywhere, once as the name that a dot would make of two others
CREATE TABLE "a.b"."c" (id int PRIMARY KEY, v text DEFAULT 'a.b');
CREATE SCHEMA a;
CREATE TABLE a."b.c" (id int PRIMARY KEY, v text);
CREATE TABLE a.c (id int PRIMARY KEY, v text);
CREATE TABLE "c" (id int PRIMARY KEY, v text);
CREATE TABLE "C" (id int PRIMARY KEY, v text);
CREATE INDEX same ON a.c (v);
CREATE INDEX same ON "c" (v DESC);
CREATE INDEX same ON "a.b"."c" (v, id);

-- names
CREATE TYPE "select"."order" AS ENUM ('group', 'by', 'it''s', '"', E'back\\slash');
CREATE DOMAIN "a.b"."do.main ""d""" AS text CONSTRAINT "check me.""now""" CHECK (VALUE <> '$$');
CREATE SEQUENCE "select"."table id" START 5;
CREATE TABLE "select"."table" (
  "user" int NOT NULL DEFAULT nextval('"select"."table id"'),
  "end" "select"."order" DEFAULT 'it''s',
  "a ""b"".c" "a.b"."do.main ""d""",
  "new
line" text,
  "列" text COLLATE "C",
  "%s $1 \ ' ;--" text,
  "CamelCase" int,
  CONSTRAINT "from" PRIMARY KEY ("user", "CamelCase")
);
CREATE UNIQUE INDEX "where ""x"".y
z" ON "select"."table" ("new
line", lower("%s $1 \ ' ;--")) WHERE "end" <> 'group';
COMMENT ON COLUMN "select"."table"."%s $1 \ ' ;--" IS E'a \\ ''comment''\nof two lines; -- really';
CREATE TABLE "with ""quotes"""."t""t" (LIKE "select"."table" INCLUDING ALL);
CREATE TABLE "new
line"."new
line" ("id
" int PRIMARY KEY, "
" text UNIQUE);
CREATE TABLE "схема 表"."таблица ""表"".x" ("ключ" int GENERATED ALWAYS AS IDENTITY CONSTRAINT "ключ ""表"".k" PRIMARY KEY, "значение" text);
CREATE TABLE "схема 表"."child" (id int PRIMARY KEY, parent int CONSTRAINT "parent ""表"".fk
" REFERENCES "схема 表"."таблица ""表"".x" DEFERRABLE);
CREATE TABLE "a table of exactly 63 bytes üüüüüüüüüüüüüüüüü!" ("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnéé" int PRIMARY KEY, x int CONSTRAINT "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnéé" REFERENCES "a table of exactly 63 bytes üüüüüüüüüüüüüüüüü!");
CREATE INDEX "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiié" ON "a table of exactly 63 bytes üüüüüüüüüüüüüüüüü!" (x);
CREATE FUNCTION "select"."function ""f"".g"() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'a trigger fired'; END $f$;
CREATE TRIGGER "trigger ""t"".u
v" BEFORE INSERT OR UPDATE OR DELETE ON "with ""quotes"""."t""t" FOR EACH ROW EXECUTE PROCEDURE "select"."function ""f"".g"();
ALTER TABLE "with ""quotes"""."t""t" DISABLE TRIGGER "trigger ""t"".u
v";
INSERT INTO "with ""quotes"""."t""t" ("user", "CamelCase", "new
line") SELECT g, g, 'row ' || g FROM generate_series(1, 20) g;
ALTER TABLE "with ""quotes"""."t""t" ENABLE ALWAYS TRIGGER "trigger ""t"".u
v";
CREATE VIEW "select"."view ""v"".w" AS SELECT "user" AS "select", "new
line" FROM "select"."table";

-- a table without columns, one whose columns were dropped, one with a hole in the middle
CREATE TABLE nothing ();
ALTER TABLE nothing REPLICA IDENTITY FULL;
CREATE TABLE dropped (id int PRIMARY KEY, gone text, stays text);
INSERT INTO dropped SELECT g, 'x', 'stays ' || g FROM generate_series(1, 10) g;
ALTER TABLE dropped DROP COLUMN gone;
ALTER TABLE dropped ADD COLUMN later int DEFAULT 7;

-- constraints
CREATE TABLE booked (
  id int CONSTRAINT booked_key PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,
  room int,
  during tstzrange,
  CONSTRAINT "no overlap" EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "room and time" UNIQUE (room, during) DEFERRABLE,
  CONSTRAINT sane CHECK (room < 1000) NO INHERIT
);
ALTER TABLE booked REPLICA IDENTITY FULL;
INSERT INTO booked SELECT g, g % 5, tstzrange('2024-01-01 00:00:00+00'::timestamptz + g * interval '1 day', '2024-01-01 00:00:00+00'::timestamptz + (g + 1) * interval '1 day') FROM generate_series(1, 50) g;
ALTER TABLE booked ADD CONSTRAINT never_validated CHECK (id > 10) NOT VALID;
COMMENT ON CONSTRAINT "no overlap" ON booked IS 'one at a time';

-- indexes
CREATE TABLE indexed (id bigint PRIMARY KEY, t text NOT NULL, n int NOT NULL, ci citext, doc jsonb, r int4range, p point, tags text[]);
CREATE INDEX indexed_partial ON indexed (n) WHERE n > 10 AND t <> 'it''s';
CREATE INDEX indexed_expression ON indexed (lower(t) COLLATE "C" text_pattern_ops, (n + 1) DESC) WITH (fillfactor = 70);
CREATE INDEX indexed_gin ON indexed USING gin (doc);
CREATE INDEX indexed_tags ON indexed USING gin (tags) WITH (fastupdate = off);
CREATE INDEX indexed_gist ON indexed USING gist (r, n);
CREATE INDEX indexed_spgist ON indexed USING spgist (p);
CREATE INDEX indexed_brin ON indexed USING brin (n) WITH (pages_per_range = 16);
CREATE INDEX indexed_hash ON indexed USING hash (t);
CREATE UNIQUE INDEX indexed_ci ON indexed (ci);
CREATE UNIQUE INDEX indexed_identity ON indexed (t, n);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_identity;
ALTER TABLE indexed CLUSTER ON indexed_gist;
ALTER TABLE indexed ALTER COLUMN t SET STATISTICS 500, ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN n SET (n_distinct = -0.5);
-- since 11
CREATE UNIQUE INDEX indexed_covering ON indexed (n, id) INCLUDE (t, tags);
ALTER INDEX indexed_expression ALTER COLUMN 2 SET STATISTICS 321;
-- end
-- since 12
ALTER TABLE indexed ADD COLUMN twice bigint GENERATED ALWAYS AS (n * 2) STORED;
CREATE COLLATION "a.b"."ignore ""case""" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE collated (word text COLLATE "a.b"."ignore ""case""" PRIMARY KEY, v int);
-- end
-- since 14
CREATE TABLE spans (id int PRIMARY KEY, s int4multirange NOT NULL, c text COMPRESSION pglz);
CREATE INDEX spans_s ON spans USING gist (s);
-- end
-- since 15
CREATE UNIQUE INDEX indexed_nulls ON indexed (n, ci) NULLS NOT DISTINCT;
ALTER TABLE indexed ADD CONSTRAINT "nulls are one" UNIQUE NULLS NOT DISTINCT (ci, t);
-- end

-- inheritance, and partitions in other schemas
CREATE TABLE base (id int PRIMARY KEY, what text CHECK (what <> 'x'));
CREATE TABLE "select"."base" (extra int, PRIMARY KEY (id)) INHERITS (public.base);
CREATE INDEX derived_what ON "select"."base" (what);
-- since 11
CREATE TABLE "with ""quotes"""."p.p" (id int, at date, note text, CONSTRAINT "p key" PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE "select"."p.p" PARTITION OF "with ""quotes"""."p.p" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE "new
line"."p.p" PARTITION OF "with ""quotes"""."p.p" DEFAULT PARTITION BY HASH (id);
CREATE TABLE "new
line"."p.p 0" PARTITION OF "new
line"."p.p" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "new
line"."p.p 1" PARTITION OF "new
line"."p.p" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX "note ""i""" ON "with ""quotes"""."p.p" (note);
CREATE UNIQUE INDEX "on one" ON "select"."p.p" (id) WHERE note IS NOT NULL;
INSERT INTO "with ""quotes"""."p.p" SELECT g, '2023-12-01'::date + g * 10, 'note ' || g FROM generate_series(1, 60) g;
-- end

INSERT INTO "a.b"."c" VALUES (1, 'a.b and c');
INSERT INTO a."b.c" VALUES (1, 'a and b.c');
INSERT INTO a.c VALUES (1, 'a and c'), (2, NULL);
INSERT INTO "c" VALUES (1, 'lower'), (2, 'l');
INSERT INTO "C" VALUES (1, 'upper'), (3, 'U');
INSERT INTO "select"."table" ("CamelCase", "end", "a ""b"".c", "new
line", "列") SELECT g, (enum_range(NULL::"select"."order"))[1 + g % 5], 'd' || g, E'x\r\n\t\\' || g, '列' FROM generate_series(1, 30) g;
INSERT INTO "new
line"."new
line" SELECT g, E'\n' || g FROM generate_series(1, 10) g;
INSERT INTO "схема 表"."таблица ""表"".x" ("значение") SELECT 'значение ' || g FROM generate_series(1, 10) g;
INSERT INTO "схема 表"."child" SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO "a table of exactly 63 bytes üüüüüüüüüüüüüüüüü!" SELECT g, 1 FROM generate_series(1, 5) g;
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO indexed (id, t, n, ci, doc, r, p, tags) SELECT g, 't' || g, g, 'Ci' || g, '{"a": [1, "x"]}', int4range(g, NULL), point(g, 0.5), ARRAY['{', '"', NULL] FROM generate_series(1, 100) g;
INSERT INTO base SELECT g, 'base' FROM generate_series(1, 5) g;
INSERT INTO "select"."base" SELECT g + 100, 'derived', g FROM generate_series(1, 5) g;
-- since 12
INSERT INTO collated VALUES ('Word', 1), ('other', 2);
-- end
-- since 14
INSERT INTO spans VALUES (1, '{[1,3),[7,9)}', repeat('x', 3000)), (2, '{}', NULL);
-- end

-- during the sync
UPDATE "a.b"."c" SET v = 'after';
UPDATE a."b.c" SET v = 'after too';
DELETE FROM a.c WHERE id = 2;
UPDATE "C" SET id = 4 WHERE id = 3;
INSERT INTO "c" VALUES (9, 'meanwhile');
UPDATE "select"."table" SET "end" = E'back\\slash', "%s $1 \ ' ;--" = '列 ' || "user" WHERE "CamelCase" % 2 = 0;
INSERT INTO "схема 表"."таблица ""表"".x" ("значение") VALUES ('позже');
UPDATE "схема 表"."child" SET parent = 11 WHERE id = 1;
DELETE FROM "new
line"."new
line" WHERE "id
" = 3;
INSERT INTO "a table of exactly 63 bytes üüüüüüüüüüüüüüüüü!" VALUES (6, 5);
INSERT INTO nothing DEFAULT VALUES;
UPDATE dropped SET later = id;
UPDATE booked SET room = room + 5 WHERE id > 45;
DELETE FROM booked WHERE id = 30;
UPDATE indexed SET n = n + 1000, doc = NULL WHERE id % 7 = 0;
UPDATE base SET what = 'changed' WHERE id IN (2, 102);
-- since 11
UPDATE "with ""quotes"""."p.p" SET at = '2026-01-01' WHERE id = 7;
DELETE FROM "with ""quotes"""."p.p" WHERE id = 50;
-- end
-- since 12
UPDATE collated SET v = 3 WHERE word = 'WORD';
-- end
-- since 14
UPDATE spans SET s = s + '{[100,200)}' WHERE id = 2;
-- end
