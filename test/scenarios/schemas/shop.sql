-- A shop of old: composite keys, bytea, char(n), self-references, keys of text, a key that is no primary key.

CREATE TABLE categories (
  category_id smallint NOT NULL,
  category_name character varying(15) NOT NULL,
  description text,
  picture bytea,
  CONSTRAINT pk_categories PRIMARY KEY (category_id)
);
CREATE TABLE customers (
  customer_id character(5) NOT NULL,
  company_name character varying(40) NOT NULL,
  country character varying(15),
  CONSTRAINT pk_customers PRIMARY KEY (customer_id)
);
CREATE TABLE customer_demographics (customer_type_id character(5) NOT NULL, customer_desc text, CONSTRAINT pk_customer_demographics PRIMARY KEY (customer_type_id));
CREATE TABLE customer_customer_demo (
  customer_id character(5) NOT NULL,
  customer_type_id character(5) NOT NULL,
  CONSTRAINT pk_customer_customer_demo PRIMARY KEY (customer_id, customer_type_id)
);
CREATE TABLE employees (
  employee_id smallint NOT NULL,
  last_name character varying(20) NOT NULL,
  photo bytea,
  reports_to smallint,
  CONSTRAINT pk_employees PRIMARY KEY (employee_id)
);
CREATE TABLE products (
  product_id smallint NOT NULL,
  product_name character varying(40) NOT NULL,
  category_id smallint,
  unit_price real,
  discontinued integer NOT NULL,
  CONSTRAINT pk_products PRIMARY KEY (product_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE TABLE orders (
  order_id smallint NOT NULL,
  customer_id character(5),
  employee_id smallint,
  order_date date,
  freight real,
  CONSTRAINT pk_orders PRIMARY KEY (order_id)
);
CREATE TABLE order_details (
  order_id smallint NOT NULL,
  product_id smallint NOT NULL,
  unit_price real NOT NULL,
  quantity smallint NOT NULL,
  discount real NOT NULL DEFAULT 0,
  CONSTRAINT pk_order_details PRIMARY KEY (order_id, product_id),
  CONSTRAINT sane CHECK (quantity > 0 AND discount BETWEEN 0 AND 1)
);
CREATE TABLE shipment_notes (
  order_id smallint NOT NULL,
  product_id smallint NOT NULL,
  note_no int NOT NULL,
  note text,
  CONSTRAINT one_note UNIQUE (order_id, product_id, note_no)
);
ALTER TABLE shipment_notes REPLICA IDENTITY USING INDEX one_note;
CREATE TABLE audit_log (at timestamp with time zone NOT NULL, what xml, who inet, span tstzrange, bits bit varying(9));
ALTER TABLE audit_log REPLICA IDENTITY FULL;

ALTER TABLE orders ADD CONSTRAINT fk_orders_customers FOREIGN KEY (customer_id) REFERENCES customers;
ALTER TABLE orders ADD CONSTRAINT fk_orders_employees FOREIGN KEY (employee_id) REFERENCES employees;
ALTER TABLE order_details ADD CONSTRAINT fk_order_details_products FOREIGN KEY (product_id) REFERENCES products;
ALTER TABLE order_details ADD CONSTRAINT fk_order_details_orders FOREIGN KEY (order_id) REFERENCES orders;
ALTER TABLE products ADD CONSTRAINT fk_products_categories FOREIGN KEY (category_id) REFERENCES categories;
ALTER TABLE customer_customer_demo ADD CONSTRAINT fk_demo_type FOREIGN KEY (customer_type_id) REFERENCES customer_demographics;
ALTER TABLE customer_customer_demo ADD CONSTRAINT fk_demo_customer FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;
ALTER TABLE employees ADD CONSTRAINT fk_employees_employees FOREIGN KEY (reports_to) REFERENCES employees;
ALTER TABLE shipment_notes ADD CONSTRAINT fk_notes FOREIGN KEY (order_id, product_id) REFERENCES order_details ON DELETE CASCADE;
CREATE INDEX orders_date ON orders USING brin (order_date);
CREATE INDEX products_name_hash ON products USING hash (product_name);
CREATE FUNCTION order_total(smallint) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(unit_price * quantity)::numeric FROM public.order_details WHERE order_id = $1';
CREATE VIEW products_by_category AS
  SELECT categories.category_name, products.product_name FROM categories JOIN products ON categories.category_id = products.category_id
   WHERE products.discontinued <> 1 ORDER BY categories.category_name;

INSERT INTO categories SELECT g, 'Category ' || g, NULL, decode(repeat(md5(g::text), 100), 'hex') FROM generate_series(1, 8) g;
INSERT INTO customers SELECT 'C' || lpad(g::text, g % 4 + 1, '0'), 'Company ' || g, 'Åland' FROM generate_series(1, 9) g;
INSERT INTO customer_demographics VALUES ('a', 'short key'), ('bb', ''), ('ccccc', NULL);
INSERT INTO customer_customer_demo SELECT customer_id, 'bb' FROM customers;
INSERT INTO employees VALUES (1, 'Davolio', '\x00ff5c', NULL), (2, 'Fuller', NULL, 1);
INSERT INTO products SELECT g, 'Product ' || g, 1 + g % 8, g * 0.25, g % 2 FROM generate_series(1, 77) g;
INSERT INTO orders SELECT g, (SELECT customer_id FROM customers OFFSET g % 9 LIMIT 1), 1 + g % 2, '1996-07-04'::date + g, g / 8.0 FROM generate_series(1, 100) g;
INSERT INTO order_details SELECT o, 1 + (o * 7 + p) % 77, p * 0.5, p, 0.25 FROM generate_series(1, 100) o, generate_series(1, 3) p;
INSERT INTO shipment_notes SELECT order_id, product_id, 1, 'note of ' || order_id FROM order_details WHERE order_id < 30;
INSERT INTO audit_log SELECT '2020-01-01 00:00:00+00'::timestamptz + g * interval '1 s', xmlparse(CONTENT '<a n="' || g || '">&amp;</a>'), ('10.0.0.' || g)::inet,
  tstzrange('2020-01-01 00:00:00+00', NULL), g::bit(5)::bit varying FROM generate_series(1, 20) g;

-- during the sync
UPDATE categories SET description = 'its picture is not sent again' WHERE category_id < 5;
UPDATE order_details SET quantity = quantity + 1 WHERE order_id % 2 = 0;
UPDATE shipment_notes SET note_no = 2 WHERE order_id = 7;
DELETE FROM order_details WHERE order_id = 9;
DELETE FROM audit_log WHERE who = '10.0.0.3';
UPDATE audit_log SET bits = NULL WHERE who = '10.0.0.5';
INSERT INTO employees VALUES (3, 'Leverling', '\x', 2);
