-- Rows of listdb. Numbers in ${…} are filled in; on one version of PostgreSQL the same numbers give
-- the same rows, but for the uuids.

SELECT setseed(0.42);

INSERT INTO accounts (email, name, plan, password_hash, settings, address, balance, born_on, last_ip, is_active, created_at)
SELECT 'user' || n || '@example.com', (ARRAY['Ada', 'Bo', 'Chloé', 'Dag', 'Ewa', 'Füsun', '健'])[1 + n % 7] || ' ' || initcap(left(md5(n::text), 8)),
  (ARRAY['free', 'free', 'personal', 'team', 'enterprise'])[1 + n % 5]::account_plan, decode(md5(n::text) || md5('salt' || n), 'hex'),
  jsonb_build_object('theme', CASE WHEN n % 2 = 0 THEN 'dark' ELSE 'light' END, 'pageSize', 10 + n % 90, 'beta', n % 11 = 0),
  CASE WHEN n % 3 = 0 THEN ROW('Main Street ' || n, lpad((n % 99999)::text, 5, '0'), 'Springfield', 'US')::postal_address END,
  round((random() * 500)::numeric, 2), date '1950-01-01' + (random() * 20000)::int, ('10.' || n % 256 || '.' || (n / 256) % 256 || '.7')::inet,
  n % 17 <> 0, timestamptz '2020-01-01Z' + n * interval '2 hours'
FROM generate_series(1, ${accounts}) n;

INSERT INTO teams (slug, name, network, features)
SELECT 'team-' || n, 'Team ' || n, ('10.' || n % 256 || '.0.0/16')::cidr, (ARRAY['export', 'sso', 'audit', 'api'])[1:n % 5]
FROM generate_series(1, ${teams}) n;

INSERT INTO team_members
SELECT 1 + (n - 1) % ${teams}, n, (ARRAY['member', 'owner', 'guest'])[1 + n % 3]::member_role, date '2021-01-01' + n % 1500
FROM generate_series(1, ${members}) n;

INSERT INTO lists (owner_id, team_id, title, colour, tags, properties, item_count, is_archived, created_at)
SELECT 1 + (n - 1) % ${accounts}, CASE WHEN n % 4 = 0 THEN 1 + n % ${teams} END,
  (ARRAY['Groceries', 'Books to read', 'Release', 'Ideas', 'Travel', 'Naïve plans', 'Ünfinished'])[1 + n % 7] || ' ' || n,
  '#' || left(md5(n::text), 6), (ARRAY['home', 'work', 'urgent', 'later', 'a "quoted" tag'])[1:n % 6],
  jsonb_build_object('view', n % 3, 'sort', ARRAY['due', 'title']),
  ${itemsPerList}, n % 23 = 0, timestamptz '2022-01-01Z' + n * interval '20 minutes'
FROM generate_series(1, ${lists}) n;

INSERT INTO items (list_id, position, title, is_done, priority, due_on, due_at, estimate, cost, progress, updated_at)
SELECT 1 + (n - 1) / ${itemsPerList}, 1 + (n - 1) % ${itemsPerList}, 'Thing ' || n || ' ' || left(md5(n::text), (n % 20)::int), n % 3 = 0, n % 5,
  CASE WHEN n % 2 = 0 THEN date '2026-01-01' + (n % 400)::int END, CASE WHEN n % 8 = 0 THEN time '08:00' + (n % 600) * interval '1 minute' END,
  CASE WHEN n % 6 = 0 THEN (n % 90) * interval '7 minutes' END, CASE WHEN n % 7 = 0 THEN round((random() * 1000)::numeric, 2) END,
  CASE WHEN n % 3 <> 0 THEN random()::real END, timestamp '2026-01-01' + n * interval '17 seconds'
FROM generate_series(1, ${items}::bigint) n;

INSERT INTO labels (team_id, name, colour)
SELECT CASE WHEN n % 2 = 0 THEN 1 + n % ${teams} END, 'label ' || n, '#' || left(md5('l' || n), 6) FROM generate_series(1, ${labels}) n;

INSERT INTO item_labels SELECT 1 + (n - 1) % ${items}, 1 + (n * 7 + n / ${items} * 3) % ${labels} FROM generate_series(1, ${itemLabels}::bigint) n;

-- Every 200th comment is long enough to be stored out of line.
INSERT INTO comments (item_id, author_id, body, likes, written_at)
SELECT 1 + (n * 13) % ${items}, 1 + n % ${accounts},
  CASE WHEN n % 200 = 0 THEN (SELECT string_agg(md5(n || '-' || part), ' ') FROM generate_series(1, 600) part)
    ELSE 'I think that ' || repeat(md5(n::text) || ' ', (1 + n % 6)::int) END,
  n % 40, timestamptz '2025-01-01Z' + n * interval '9 minutes'
FROM generate_series(1, ${comments}::bigint) n;

INSERT INTO attachments (item_id, file_name, media_type, content, flags, pixels)
SELECT 1 + (n * 131) % ${items}, 'photo-' || n || '.jpg', 'image/jpeg',
  decode((SELECT string_agg(md5(n || '+' || part), '') FROM generate_series(1, 100 + n::int % 100) part), 'hex'),
  (n % 256)::int::bit(8), point(640 + n % 1000, 480 + n % 800)
FROM generate_series(1, ${attachments}::bigint) n;

INSERT INTO reminders (item_id, remind_at, every, weekdays, quiet_hours, valid)
SELECT 1 + (n * 29) % ${items}, timestamptz '2026-06-01Z' + n * interval '11 minutes', CASE WHEN n % 2 = 0 THEN interval '1 day' END,
  CASE WHEN n % 3 = 0 THEN ARRAY[1, 3, 5]::smallint[] END, int4range(21, 23 + n::int % 10),
  tstzrange(timestamptz '2026-01-01Z', CASE WHEN n % 2 = 0 THEN timestamptz '2026-12-31Z' END)
FROM generate_series(1, ${reminders}::bigint) n;

INSERT INTO shortcuts (account_id, slot, list_id)
SELECT 1 + (n - 1) / 5, 1 + (n - 1) % 5, 1 + (n * 3) % ${lists} FROM generate_series(1, ${shortcuts}) n;

INSERT INTO devices
SELECT ('08:00:2b:' || substr(lpad(to_hex(n), 6, '0'), 1, 2) || ':' || substr(lpad(to_hex(n), 6, '0'), 3, 2) || ':' || substr(lpad(to_hex(n), 6, '0'), 5, 2))::macaddr,
  1 + n % ${accounts}, 'Phone ' || n % 30, (n % 1024)::int::bit(10)::varbit, random() * 180 - 90, random() * 360 - 180, random()::real,
  n * interval '3 minutes', json_build_object('os', n % 5, 'apps', ARRAY[n % 7, n % 11]), timestamptz '2026-01-01Z' + n * interval '1 minute'
FROM generate_series(1, ${devices}) n;

INSERT INTO edits (edited_at, item_id, old_title, new_title, snapshot)
SELECT timestamp '2025-06-01' + n * interval '1 minute', 1 + (n * 17) % ${items}, 'was ' || n, 'is ' || n,
  CASE WHEN n % 100 = 0 THEN (SELECT string_agg(md5(n || '*' || part), ' ') FROM generate_series(1, 300) part) END
FROM generate_series(1, ${edits}::bigint) n;

INSERT INTO activity (happened_at, account_id, list_id, kind, details, client)
SELECT timestamptz '2026-01-01Z' + (n * 311 % 30000000) * interval '1 second', 1 + n % ${accounts}, 1 + n % ${lists},
  (ARRAY['created', 'ticked', 'unticked', 'moved', 'renamed', 'commented', 'deleted'])[1 + n % 7]::activity_kind,
  CASE WHEN n % 4 = 0 THEN jsonb_build_object('from', n % 50, 'to', n % 49, 'note', left(md5(n::text), 12)) END, '192.0.2.1'::inet + n % 200
FROM generate_series(1, ${activity}::bigint) n;

INSERT INTO billing.invoices (account_id, number, issued_on, paid_at, total)
SELECT 1 + n % ${accounts}, 'R-' || lpad(n::text, 8, '0'), date '2024-01-01' + n % 900,
  CASE WHEN n % 5 <> 0 THEN timestamptz '2024-01-05Z' + n * interval '4 hours' END, round((random() * 90)::numeric, 4)
FROM generate_series(1, ${invoices}) n;

INSERT INTO billing."InvoiceLines"
SELECT 100000 + (n - 1) / 3, 1 + (n - 1) % 3, 'Line ' || n, round((random() * 30)::numeric, 6), 1 + n % 4 / 2.0
FROM generate_series(1, ${invoices} * 3) n;

INSERT INTO settings
SELECT 'setting.' || n, json_build_object('enabled', n % 2 = 0, 'limit', n * 10), 1 FROM generate_series(1, ${settings}) n;
