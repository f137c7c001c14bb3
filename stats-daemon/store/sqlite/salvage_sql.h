/*
 * What salvage.c makes of the tables that it has read, in SQL: names for what
 * is referred to and lost, sums out of other sums, what else can be added up.
 *
 * Sums by minute, and those made of them (rollup.h), can be had from those by
 * hour of each series, as far back as these go.  Each list ends with NULL.
 */

#ifndef STATSD_STORE_SALVAGE_SQL_H
#define STATSD_STORE_SALVAGE_SQL_H

#include "rollup.h"

/* What rows refer to and nothing knows any more. */
static const char *const after_names[] = {
    "INSERT INTO series(id, client, key, model)"
    " SELECT series, -series, 0, -1 FROM (SELECT DISTINCT series FROM"
    "  (SELECT series FROM usage_hour UNION SELECT series FROM combo))"
    "  WHERE series NOT IN (SELECT id FROM series)",
    "INSERT INTO client(id, address, name) SELECT DISTINCT client,"
    " iif(client < 0, '(lost series ', '(lost ') || abs(client) || ')', '' FROM"
    " (SELECT client FROM series UNION"
    "  SELECT ref FROM usage_minute WHERE kind = 3 UNION"
    "  SELECT ref FROM usage_sum WHERE kind % 4 = 3)"
    " WHERE client NOT IN (SELECT id FROM client)",
    "INSERT INTO model(id, name) SELECT DISTINCT model,"
    " iif(model < 0, '(lost)', '(lost ' || model || ')') FROM"
    " (SELECT model FROM series UNION"
    "  SELECT ref FROM usage_minute WHERE kind = 2 UNION"
    "  SELECT ref FROM usage_sum WHERE kind % 4 = 2)"
    " WHERE model NOT IN (SELECT id FROM model)",
    "INSERT INTO key(id, fingerprint, name, account, position, round)"
    " SELECT DISTINCT key, -key, '(lost ' || key || ')', '', NULL, 0 FROM"
    " (SELECT key FROM series WHERE key > 0 UNION"
    "  SELECT ref FROM usage_minute WHERE kind = 1 AND ref > 0 UNION"
    "  SELECT ref FROM usage_sum WHERE kind % 4 = 1 AND ref > 0)"
    " WHERE key NOT IN (SELECT id FROM key)",
    "INSERT OR IGNORE INTO total(id, requests, errors, prompt, completion,"
    " cached, estimated) VALUES(1, 0, 0, 0, 0, 0, 0)",
    NULL};

/* The bounds of sums that are whole, when they themselves were lost: what is
 * there was rolled up. */
static const char *const after_bounds[] = {
    "INSERT OR IGNORE INTO usage_bound SELECT 4, max("
    "coalesce((SELECT 10 * (max(time) + 1) FROM usage_sum WHERE kind = 4), 0),"
    "coalesce((SELECT 60 * max(time) FROM usage_sum WHERE kind = 8), 0),"
    "coalesce((SELECT 1440 * max(time) FROM usage_sum WHERE kind = 12), 0))",
    "INSERT OR IGNORE INTO usage_bound SELECT 0, coalesce((SELECT min(minute)"
    " FROM usage_minute WHERE kind = 0), (SELECT minute FROM usage_bound"
    " WHERE id = 4))",
    "INSERT OR IGNORE INTO usage_bound SELECT 1, coalesce((SELECT 10 *"
    " min(time) FROM usage_sum WHERE kind = 4), (SELECT minute FROM usage_bound"
    " WHERE id = 4))",
    "INSERT OR IGNORE INTO usage_bound SELECT 2, coalesce((SELECT 60 *"
    " min(time) FROM usage_sum WHERE kind = 8), 0)",
    "INSERT OR IGNORE INTO usage_bound VALUES(3, 0)",
    NULL};

/* Of sums that were lost in part: hours by series tell those of the time that
 * they have, up to now; but for their first hour, if a part of it was deleted
 * already.  The day in which it lies has its other hours from usage_sum. */
static const char *const after_hours[] = {
    "CREATE TEMP TABLE whole AS SELECT m + (coalesce((SELECT requests FROM"
    " usage_sum WHERE kind = 8 AND time = m), 0) > (SELECT sum(requests) FROM"
    " usage_hour WHERE hour = m)) AS hour, m / 24 + (coalesce((SELECT minute"
    " FROM usage_bound WHERE id = 2), 0) > m / 24 * 1440) AS day"
    " FROM (SELECT min(hour) AS m FROM usage_hour)",
    "DELETE FROM usage_sum WHERE kind BETWEEN 4 AND 7",
    "DELETE FROM usage_sum WHERE kind BETWEEN 8 AND 11"
    " AND time >= (SELECT hour FROM whole)",
    "DELETE FROM usage_sum WHERE kind >= 12 AND time >= (SELECT day FROM whole)",
    STORE_LEARN_HOURS(_6, "u.hour >= (SELECT hour FROM whole)"),
    STORE_LEARN_DAYS_OF(_6, "time / 24 >= (SELECT day FROM whole)"),
    "DROP TABLE whole",
    STORE_LEARN_MARK,
    NULL};
static const char *const after_minutes[] = {STORE_LEARN_TENS(_6), NULL};
static const char *const no_minutes[] = {
    "INSERT OR REPLACE INTO usage_bound SELECT 0, minute FROM usage_bound"
    " WHERE id = 4",
    "INSERT OR REPLACE INTO usage_bound SELECT 1, minute FROM usage_bound"
    " WHERE id = 4",
    "INSERT OR IGNORE INTO usage_bound VALUES(2, 0), (3, 0)", NULL};

/* .. and, of the total, what the sums still know. */
static const char *const after_sums[] = {
    "UPDATE total SET (requests, errors, prompt, completion, cached, estimated,"
    " cost, priced) = (SELECT coalesce(sum(requests), 0), coalesce(sum(errors), 0),"
    "  coalesce(sum(prompt), 0), coalesce(sum(completion), 0),"
    "  coalesce(sum(cached), 0), coalesce(sum(estimated), 0),"
    "  coalesce(sum(cost), 0), coalesce(sum(priced), 0) FROM"
    "  (SELECT " STORE_COUNTS "FROM usage_sum WHERE kind = 12 UNION ALL"
    "   SELECT " STORE_COUNTS "FROM usage_minute WHERE kind = 0 AND minute >="
    "    (SELECT minute FROM usage_bound WHERE id = 4))) WHERE id = 1",
    NULL};

static const char *const after_rows[] = {
    "INSERT INTO series(id, client, key, model)"
    " SELECT -1000000000 - combo, -1000000000 - combo, 0, -1"
    "  FROM (SELECT DISTINCT combo FROM request)"
    "  WHERE combo NOT IN (SELECT id FROM combo)",
    "INSERT INTO combo(id, series, status, last)"
    " SELECT combo, -1000000000 - combo, 0, 0"
    "  FROM (SELECT DISTINCT combo FROM request)"
    "  WHERE combo NOT IN (SELECT id FROM combo)",
    "INSERT OR IGNORE INTO model(id, name) SELECT DISTINCT model, '(lost)'"
    " FROM series WHERE model NOT IN (SELECT id FROM model)",
    "INSERT INTO client(id, address, name) SELECT DISTINCT client,"
    " '(lost ' || abs(client) || ')', '' FROM series"
    " WHERE client NOT IN (SELECT id FROM client)",
    "INSERT INTO instance(id, value, last_seq, seen)"
    " SELECT instance, -instance, 0, 0 FROM"
    " (SELECT instance FROM request UNION SELECT instance FROM body)"
    " WHERE instance NOT IN (SELECT id FROM instance)",
    "UPDATE combo SET last = coalesce((SELECT max(id) FROM request r"
    " WHERE r.combo = combo.id), 0)",
    STORE_LEARN_DAYS,
    STORE_LEARN_OTHERS,
    "INSERT INTO began SELECT 0, id FROM request WHERE true ORDER BY id DESC"
    " LIMIT 1 ON CONFLICT(minute) DO UPDATE SET last = excluded.last",
    "INSERT OR IGNORE INTO segment(id, bodies, bytes, ending)"
    " SELECT segment, count(*), sum(stored), max(place + stored) FROM body"
    "  WHERE segment IS NOT NULL GROUP BY segment",
    NULL};

#endif
