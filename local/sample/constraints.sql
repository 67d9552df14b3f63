-- Keys, indexes, foreign keys, functions, triggers and views of listdb.

ALTER TABLE accounts ADD PRIMARY KEY (id), ADD UNIQUE (email);
ALTER TABLE teams ADD PRIMARY KEY (id), ADD UNIQUE (slug);
ALTER TABLE team_members ADD PRIMARY KEY (team_id, account_id);
ALTER TABLE lists ADD PRIMARY KEY (id), ADD UNIQUE (public_id);
-- Deferrable: two items trade places in one statement.
ALTER TABLE items ADD PRIMARY KEY (id), ADD UNIQUE (list_id, position) DEFERRABLE INITIALLY IMMEDIATE, ADD CHECK (priority BETWEEN 0 AND 9);
ALTER TABLE labels ADD PRIMARY KEY (id);
ALTER TABLE item_labels ADD PRIMARY KEY (item_id, label_id);
ALTER TABLE comments ADD PRIMARY KEY (id);
ALTER TABLE attachments ADD PRIMARY KEY (id);
ALTER TABLE reminders ADD PRIMARY KEY (id);
ALTER TABLE shortcuts ADD PRIMARY KEY (id), ADD UNIQUE (account_id, slot);
ALTER TABLE devices ADD PRIMARY KEY (address);
ALTER TABLE activity ADD PRIMARY KEY (id, happened_at);
ALTER TABLE billing.invoices ADD PRIMARY KEY (id), ADD UNIQUE (number);
ALTER TABLE billing."InvoiceLines" ADD PRIMARY KEY ("invoiceId", "lineNo");
ALTER TABLE settings ADD PRIMARY KEY (key);

CREATE INDEX lists_by_owner ON lists (owner_id, is_archived);
CREATE INDEX lists_search ON lists USING gin (search);
CREATE INDEX lists_tags ON lists USING gin (tags);
CREATE INDEX items_due ON items (due_on) WHERE NOT is_done;
CREATE INDEX items_title ON items (lower(title));
CREATE INDEX item_labels_by_label ON item_labels (label_id);
CREATE INDEX comments_by_item ON comments (item_id, written_at);
CREATE INDEX accounts_settings ON accounts USING gin (settings);
CREATE INDEX activity_by_account ON activity (account_id, happened_at DESC);
CREATE INDEX attachments_by_item ON attachments (item_id);
CREATE INDEX reminders_by_item ON reminders (item_id);
CREATE INDEX edits_by_item ON edits (item_id);

ALTER TABLE team_members ADD FOREIGN KEY (team_id) REFERENCES teams ON DELETE CASCADE, ADD FOREIGN KEY (account_id) REFERENCES accounts;
ALTER TABLE lists ADD FOREIGN KEY (owner_id) REFERENCES accounts, ADD FOREIGN KEY (team_id) REFERENCES teams ON DELETE SET NULL;
ALTER TABLE items ADD FOREIGN KEY (list_id) REFERENCES lists ON DELETE CASCADE;
ALTER TABLE labels ADD FOREIGN KEY (team_id) REFERENCES teams;
ALTER TABLE item_labels ADD FOREIGN KEY (item_id) REFERENCES items ON DELETE CASCADE, ADD FOREIGN KEY (label_id) REFERENCES labels;
ALTER TABLE comments ADD FOREIGN KEY (item_id) REFERENCES items ON DELETE CASCADE, ADD FOREIGN KEY (author_id) REFERENCES accounts;
ALTER TABLE attachments ADD FOREIGN KEY (item_id) REFERENCES items ON DELETE CASCADE;
ALTER TABLE reminders ADD FOREIGN KEY (item_id) REFERENCES items ON DELETE CASCADE;
ALTER TABLE shortcuts ADD FOREIGN KEY (account_id) REFERENCES accounts, ADD FOREIGN KEY (list_id) REFERENCES lists;
ALTER TABLE devices ADD FOREIGN KEY (account_id) REFERENCES accounts;
ALTER TABLE activity ADD FOREIGN KEY (account_id) REFERENCES accounts;
ALTER TABLE billing.invoices ADD FOREIGN KEY (account_id) REFERENCES accounts;
ALTER TABLE billing."InvoiceLines" ADD FOREIGN KEY ("invoiceId") REFERENCES billing.invoices ON DELETE CASCADE;

-- If this one fired while rows are copied or changes applied, the counts of the target would be wrong.
CREATE FUNCTION count_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN UPDATE lists SET item_count = item_count + 1 WHERE id = NEW.list_id;
  ELSE UPDATE lists SET item_count = item_count - 1 WHERE id = OLD.list_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER count_items AFTER INSERT OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION count_items();

CREATE FUNCTION note_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO edits (item_id, old_title, new_title) VALUES (NEW.id, OLD.title, NEW.title);
  RETURN NULL;
END $$;
CREATE TRIGGER note_edit AFTER UPDATE OF title ON items FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION note_edit();

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();

CREATE VIEW open_items AS
  SELECT lists.title AS list, items.title, items.due_on FROM items JOIN lists ON lists.id = items.list_id WHERE NOT items.is_done;

ANALYZE;
