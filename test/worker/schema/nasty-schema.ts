/**
 * A schema with everything that deferral has to bring back, under names that break careless SQL. Statements fit the
 * version (of the server, as in "17").
 */
export function nastySchema(version: number): string[] {
  const from = (since: number, ...statements: string[]): string[] => (version >= since ? statements : []);
  return [
    `CREATE EXTENSION btree_gist`,
    `CREATE EXTENSION citext`,
    `CREATE SCHEMA "select"`,
    `CREATE SCHEMA "Über.schema ""q"""`,
    // names: reserved, quotes, dots, newline, backslash, non-ASCII
    `CREATE TABLE "select"."table" ("order" int, "Group" text, PRIMARY KEY ("order", "Group"))`,
    `CREATE TABLE "Über.schema ""q"""."a.b ""c""
d\\e" ("né" int CONSTRAINT "pk ""x"".y" PRIMARY KEY, "x y" text UNIQUE, z int)`,
    `CREATE INDEX "idx ""quoted"".dot
line" ON "Über.schema ""q"""."a.b ""c""
d\\e" ("x y" DESC NULLS LAST, z)`,
    `COMMENT ON INDEX "Über.schema ""q"""."idx ""quoted"".dot
line" IS 'it''s a \\ comment
of two lines'`,
    `COMMENT ON CONSTRAINT "pk ""x"".y" ON "Über.schema ""q"""."a.b ""c""
d\\e" IS 'the key''s comment'`,
    // kinds of indexes
    `CREATE TABLE kinds (id int PRIMARY KEY, t text NOT NULL, n int NOT NULL, ci citext, doc jsonb, r int4range, tags text[])`,
    `CREATE INDEX kinds_partial ON kinds (n) WHERE n > 10 AND t <> 'it''s'`,
    `CREATE INDEX kinds_expression ON kinds (lower(t) COLLATE "C", (n + 1)) WITH (fillfactor = 70)`,
    `CREATE INDEX kinds_gin ON kinds USING gin (doc jsonb_path_ops)`,
    `CREATE INDEX kinds_gist ON kinds USING gist (r)`,
    `CREATE INDEX kinds_brin ON kinds USING brin (n) WITH (pages_per_range = 16)`,
    `CREATE UNIQUE INDEX kinds_unique_ci ON kinds (ci)`,
    `CREATE UNIQUE INDEX kinds_identity ON kinds (t, n)`,
    ...from(
      11,
      `CREATE UNIQUE INDEX kinds_covering ON kinds (n) INCLUDE (t)`,
      `ALTER INDEX kinds_expression ALTER COLUMN 2 SET STATISTICS 321`,
    ),
    ...from(
      15,
      `CREATE UNIQUE INDEX kinds_nulls ON kinds (n, ci) NULLS NOT DISTINCT`,
      `ALTER TABLE kinds ADD CONSTRAINT kinds_nulls_con UNIQUE NULLS NOT DISTINCT (ci, t)`,
    ),
    `ALTER TABLE kinds REPLICA IDENTITY USING INDEX kinds_identity`,
    `ALTER TABLE kinds CLUSTER ON kinds_partial_no`.replace("kinds_partial_no", "kinds_gist"),
    ...from(13, `ALTER INDEX kinds_gist DEPENDS ON EXTENSION btree_gist`),
    // kinds of constraints
    `CREATE TABLE constrained (id int, a int, b int, during tsrange, CONSTRAINT con_key PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED,
       CONSTRAINT con_unique UNIQUE (b, a) WITH (fillfactor = 50) DEFERRABLE,
       CONSTRAINT con_exclude EXCLUDE USING gist (a WITH =, during WITH &&) WHERE (a > 0) DEFERRABLE INITIALLY DEFERRED,
       CONSTRAINT con_check CHECK (a < 1000))`,
    `ALTER TABLE constrained ADD CONSTRAINT con_late CHECK (b < 5) NOT VALID`,
    `COMMENT ON CONSTRAINT con_late ON constrained IS 'never validated'`,
    `COMMENT ON CONSTRAINT con_exclude ON constrained IS 'no overlap'`,
    ...from(
      18,
      `CREATE TABLE periods (id int4range, valid_at daterange,
         CONSTRAINT periods_pk PRIMARY KEY (id, valid_at WITHOUT OVERLAPS) WITH (fillfactor = 60))`,
      `CREATE TABLE of_periods (id int, owner int4range, valid_at daterange,
         CONSTRAINT of_periods_uq UNIQUE (owner, valid_at WITHOUT OVERLAPS),
         CONSTRAINT of_periods_fk FOREIGN KEY (owner, PERIOD valid_at) REFERENCES periods (id, PERIOD valid_at))`,
      `COMMENT ON CONSTRAINT of_periods_uq ON of_periods IS 'one at a time'`,
      `CREATE TABLE named_nulls (id int CONSTRAINT "id ""is"" there" NOT NULL, a int CONSTRAINT a_here NOT NULL NO INHERIT,
         b int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, CONSTRAINT never_asked CHECK (b > 0) NOT ENFORCED)`,
      `COMMENT ON CONSTRAINT "id ""is"" there" ON named_nulls IS 'named'`,
      `CREATE TABLE named_nulls_child () INHERITS (named_nulls)`,
      `ALTER TABLE named_nulls_child ADD PRIMARY KEY (id) WITH (fillfactor = 50)`,
      `ALTER TABLE named_nulls ADD CONSTRAINT b_later NOT NULL b NOT VALID`,
      `CREATE TABLE unenforced (id int CONSTRAINT unenforced_fk REFERENCES named_nulls_child NOT ENFORCED)`,
    ),
    ...from(18, `CREATE TABLE nulls_later (a int)`, `ALTER TABLE nulls_later ADD CONSTRAINT nn NOT NULL a NOT VALID`),
    // foreign keys: on, to, of itself, deferrable, not valid, composite
    `CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES child ON DELETE CASCADE, k int, g text,
       kind int CONSTRAINT "child kind" REFERENCES kinds ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED,
       FOREIGN KEY (k, g) REFERENCES "select"."table" MATCH FULL)`,
    `ALTER TABLE child ADD CONSTRAINT child_not_valid FOREIGN KEY (id) REFERENCES kinds NOT VALID`,
    `COMMENT ON CONSTRAINT "child kind" ON child IS 'points to kinds'`,
    // inheritance
    `CREATE TABLE base (id int PRIMARY KEY, what text)`,
    `CREATE TABLE derived (extra int, PRIMARY KEY (id)) INHERITS (base)`,
    `CREATE INDEX derived_what ON derived (what)`,
    // triggers and rules of every firing
    `CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
    ...["origin", "always", "replica", "disabled"].map(
      (name) => `CREATE TRIGGER "on ${name}" BEFORE INSERT ON kinds FOR EACH ROW EXECUTE PROCEDURE noop()`,
    ),
    `ALTER TABLE kinds ENABLE ALWAYS TRIGGER "on always"`,
    `ALTER TABLE kinds ENABLE REPLICA TRIGGER "on replica"`,
    `ALTER TABLE kinds DISABLE TRIGGER "on disabled"`,
    `CREATE RULE "rule always" AS ON UPDATE TO kinds DO ALSO NOTIFY changed`,
    `ALTER TABLE kinds ENABLE ALWAYS RULE "rule always"`,
    `CREATE RULE "rule origin" AS ON DELETE TO kinds DO ALSO NOTIFY changed`,
    // identity
    `CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3), other int GENERATED BY DEFAULT AS IDENTITY)`,
    // a view that needs the key
    `CREATE TABLE needed (id int PRIMARY KEY, name text, n int)`,
    `CREATE INDEX needed_n ON needed (n)`,
    `CREATE VIEW needs_key AS SELECT id, name, sum(n) AS total FROM needed GROUP BY id`,
    // partitions
    ...from(
      11,
      `CREATE TABLE parts (id int, at date, note text, CONSTRAINT "parts key" PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
      `CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')`,
      `CREATE TABLE "select".parts_2025 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY HASH (id)`,
      `CREATE TABLE parts_2025_0 PARTITION OF "select".parts_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 0)`,
      `CREATE TABLE parts_2025_1 PARTITION OF "select".parts_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
      `CREATE TABLE "select".parts_empty PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (at)`,
      `CREATE INDEX parts_note ON parts (note)`,
      `ALTER INDEX parts_2024_note_idx RENAME TO "a name of its own"`,
      `COMMENT ON INDEX parts_note IS 'on the parent'`,
      `COMMENT ON INDEX "a name of its own" IS 'on the leaf'`,
      `CREATE INDEX parts_2024_own ON parts_2024 (id) WHERE note IS NOT NULL`,
      `CREATE INDEX parts_half ON ONLY parts (id)`,
      `ALTER TABLE parts_2024 CLUSTER ON "a name of its own"`,
      `CREATE TRIGGER "on parts" AFTER INSERT ON parts FOR EACH ROW EXECUTE PROCEDURE noop()`,
      `ALTER TABLE parts ADD CONSTRAINT parts_fk FOREIGN KEY (id) REFERENCES kinds`,
    ),
    ...from(13, `ALTER TABLE parts_2024 ENABLE ALWAYS TRIGGER "on parts"`),
    ...from(12, `CREATE TABLE of_parts (id int, at date, FOREIGN KEY (id, at) REFERENCES parts)`),
    ...from(
      17,
      `CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, n int) PARTITION BY LIST (n)`,
      `CREATE TABLE numbered_1 PARTITION OF numbered FOR VALUES IN (1)`,
    ),
  ];
}
