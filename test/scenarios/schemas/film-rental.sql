-- A film rental business: domains, enums, arrays, full text search, partitions, triggers, views over views.
-- "-- since 12" to "-- end" is for servers of that version and later, "-- before 12" for older ones.

CREATE SCHEMA rental;
CREATE DOMAIN rental.year AS integer CONSTRAINT year_check CHECK (VALUE >= 1901 AND VALUE <= 2155);
CREATE DOMAIN rental.amount AS numeric(7,2) NOT NULL DEFAULT 0.00;
CREATE TYPE rental.mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
CREATE TYPE rental.contact AS (phone text, email text);

CREATE FUNCTION rental.last_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.last_update = CURRENT_TIMESTAMP;
  RETURN NEW;
END $$;

CREATE FUNCTION rental._group_concat(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $_$
SELECT CASE WHEN $2 IS NULL THEN $1 WHEN $1 IS NULL THEN $2 ELSE $1 || ', ' || $2 END
$_$;

CREATE AGGREGATE rental.group_concat(text) (SFUNC = rental._group_concat, STYPE = text);

CREATE SEQUENCE rental.actor_actor_id_seq START 100 INCREMENT 5 CACHE 20;
CREATE TABLE rental.actor (
  actor_id integer DEFAULT nextval('rental.actor_actor_id_seq'::regclass) PRIMARY KEY,
  first_name text NOT NULL,
  last_name text NOT NULL,
  last_update timestamptz NOT NULL DEFAULT now()
);
ALTER SEQUENCE rental.actor_actor_id_seq OWNED BY rental.actor.actor_id;

CREATE TABLE rental.language (
  language_id serial PRIMARY KEY,
  name character(20) NOT NULL,
  last_update timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rental.film (
  film_id serial PRIMARY KEY,
  title text NOT NULL,
  description text,
  release_year rental.year,
  language_id integer NOT NULL REFERENCES rental.language ON UPDATE CASCADE ON DELETE RESTRICT,
  original_language_id integer REFERENCES rental.language ON UPDATE CASCADE ON DELETE RESTRICT,
  rental_rate rental.amount DEFAULT 4.99,
  length smallint,
  rating rental.mpaa_rating DEFAULT 'G',
  special_features text[],
  rights rental.contact,
  fulltext tsvector NOT NULL,
-- since 12
  seconds integer GENERATED ALWAYS AS (length * 60) STORED,
-- end
  last_update timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX film_fulltext_idx ON rental.film USING gist (fulltext);
CREATE INDEX idx_title ON rental.film (title);
CREATE INDEX idx_features ON rental.film USING gin (special_features) WHERE rating <> 'NC-17';
CREATE STATISTICS rental.film_numbers (dependencies) ON release_year, length FROM rental.film;
COMMENT ON TABLE rental.film IS 'What can be rented; it''s one row for each title';
COMMENT ON COLUMN rental.film.fulltext IS 'kept by a trigger';

CREATE TRIGGER film_fulltext_trigger BEFORE INSERT OR UPDATE ON rental.film
  FOR EACH ROW EXECUTE PROCEDURE tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');
CREATE TRIGGER last_updated BEFORE UPDATE ON rental.film FOR EACH ROW EXECUTE PROCEDURE rental.last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON rental.actor FOR EACH ROW EXECUTE PROCEDURE rental.last_updated();

CREATE TABLE rental.film_actor (
  actor_id integer NOT NULL REFERENCES rental.actor ON UPDATE CASCADE ON DELETE RESTRICT,
  film_id integer NOT NULL REFERENCES rental.film ON UPDATE CASCADE ON DELETE RESTRICT,
  last_update timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (actor_id, film_id)
);
CREATE INDEX idx_fk_film_id ON rental.film_actor (film_id);

CREATE TABLE rental.customer (
  customer_id serial PRIMARY KEY,
  email text,
  activebool boolean NOT NULL DEFAULT true,
  create_date date NOT NULL DEFAULT '2022-02-14'::date,
  picture bytea
);
CREATE UNIQUE INDEX customer_email ON rental.customer (lower(email)) WHERE activebool;

-- Payments lie in partitions by month; a key over all of them came with 11.
CREATE SEQUENCE rental.payment_id_seq;
CREATE TABLE rental.payment (
  payment_id integer NOT NULL DEFAULT nextval('rental.payment_id_seq'),
  customer_id integer NOT NULL,
  amount numeric(5,2) NOT NULL,
-- since 11
  PRIMARY KEY (payment_date, payment_id, customer_id),
-- end
  payment_date timestamptz NOT NULL
) PARTITION BY RANGE (payment_date);
CREATE TABLE rental.payment_p2022_01 PARTITION OF rental.payment FOR VALUES FROM ('2022-01-01 00:00:00+00') TO ('2022-02-01 00:00:00+00');
CREATE TABLE rental.payment_p2022_02 PARTITION OF rental.payment FOR VALUES FROM ('2022-02-01 00:00:00+00') TO ('2022-03-01 00:00:00+00');
CREATE TABLE rental.payment_p2022_03 PARTITION OF rental.payment FOR VALUES FROM ('2022-03-01 00:00:00+00') TO ('2022-04-01 00:00:00+00')
  PARTITION BY LIST (customer_id);
CREATE TABLE rental.payment_p2022_03_first PARTITION OF rental.payment_p2022_03 FOR VALUES IN (1, 2, 3);
-- since 11
CREATE TABLE rental.payment_p2022_03_rest PARTITION OF rental.payment_p2022_03 DEFAULT;
CREATE INDEX payment_customer ON rental.payment (customer_id);
ALTER TABLE rental.payment ADD CONSTRAINT payment_customer_fk FOREIGN KEY (customer_id) REFERENCES rental.customer;
-- end
-- before 11
CREATE TABLE rental.payment_p2022_03_rest PARTITION OF rental.payment_p2022_03 FOR VALUES IN (4, 5, 6, 7, 8, 9);
ALTER TABLE rental.payment_p2022_01 ADD PRIMARY KEY (payment_date, payment_id);
ALTER TABLE rental.payment_p2022_02 ADD PRIMARY KEY (payment_date, payment_id);
ALTER TABLE rental.payment_p2022_03_first ADD PRIMARY KEY (payment_date, payment_id);
ALTER TABLE rental.payment_p2022_03_rest ADD PRIMARY KEY (payment_date, payment_id);
ALTER TABLE rental.payment_p2022_01 ADD CONSTRAINT payment_customer_fk FOREIGN KEY (customer_id) REFERENCES rental.customer;
-- end
CREATE INDEX payment_p2022_02_own ON rental.payment_p2022_02 (amount DESC NULLS LAST);

CREATE VIEW rental.actor_info AS
  SELECT a.actor_id, a.first_name, a.last_name, rental.group_concat(f.title) AS films
    FROM rental.actor a
    LEFT JOIN rental.film_actor fa ON a.actor_id = fa.actor_id
    LEFT JOIN rental.film f ON fa.film_id = f.film_id
   GROUP BY a.actor_id, a.first_name, a.last_name;
CREATE VIEW rental.busy_actor WITH (security_barrier = true) AS SELECT actor_id FROM rental.actor_info WHERE films LIKE '%,%';
CREATE MATERIALIZED VIEW rental.rating_count AS SELECT rating, count(*) AS films FROM rental.film GROUP BY rating;
CREATE UNIQUE INDEX rating_count_rating ON rental.rating_count (rating);
CREATE RULE no_delete AS ON DELETE TO rental.language DO INSTEAD NOTHING;
ALTER TABLE rental.customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY active_only ON rental.customer FOR SELECT USING (activebool);

INSERT INTO rental.language (name) SELECT unnest(ARRAY['English', 'Italian', 'Français', '日本語']);
INSERT INTO rental.actor (first_name, last_name) SELECT 'first ' || g, 'last ' || g FROM generate_series(1, 40) g;
INSERT INTO rental.film (title, description, release_year, language_id, length, rating, special_features, rights)
  SELECT 'Film ' || g, repeat('A fast tale of a crocodile ', g % 4), 1990 + g % 30, 1 + g % 4, 60 + g,
         (enum_range(NULL::rental.mpaa_rating))[1 + g % 5], ARRAY['Trailers', 'Deleted "Scenes"', NULL], ROW('+1 ' || g, NULL)::rental.contact
    FROM generate_series(1, 60) g;
INSERT INTO rental.film_actor SELECT a.actor_id, f.film_id FROM rental.actor a, rental.film f WHERE (a.actor_id + f.film_id) % 7 = 0;
INSERT INTO rental.customer (email, picture) SELECT 'C' || g || '@example.org', decode(md5(g::text), 'hex') FROM generate_series(1, 9) g;
INSERT INTO rental.payment (customer_id, amount, payment_date)
  SELECT 1 + g % 9, g * 0.37, '2022-01-01 00:00:00+00'::timestamptz + g * interval '12 hours' FROM generate_series(1, 170) g;
REFRESH MATERIALIZED VIEW rental.rating_count;

-- during the sync
INSERT INTO rental.film (title, language_id, special_features) VALUES ('Written meanwhile', 2, '{}');
UPDATE rental.film SET rental_rate = 0.99, description = NULL WHERE film_id % 3 = 0;
DELETE FROM rental.film_actor WHERE film_id = 5;
-- since 11
UPDATE rental.payment SET payment_date = payment_date + interval '1 month' WHERE payment_date < '2022-01-10 00:00:00+00';
-- end
INSERT INTO rental.payment (customer_id, amount, payment_date) VALUES (3, 1.5, '2022-03-31 00:00:00+00');
UPDATE rental.customer SET picture = repeat('x', 20000)::bytea, activebool = false WHERE customer_id = 4;
REFRESH MATERIALIZED VIEW rental.rating_count;
