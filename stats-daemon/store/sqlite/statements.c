#include "rollup.h"
#include "spread.h"
#include "turns.h"

/* Not one that rows of a name that is gone still have. */
#define NEXT_ID(table, kind)                                          \
    "(SELECT 1 + max(coalesce((SELECT max(id) FROM " table "), 0),"   \
    " coalesce((SELECT max(ref) FROM usage_spread WHERE kind = " kind \
    " AND kind >= 12), 0)))"

const char *const store_write_sql[WRITE_STATEMENTS] = {
    [WRITE_REQUEST] =
        "INSERT INTO request VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,"
        "?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,NULL,NULL,?25,?26,?27,?28,?29)"
        " ON CONFLICT(instance, rid) WHERE attempts_all IS NOT NULL DO NOTHING",
    [WRITE_OTHER] = "INSERT INTO other_name VALUES(?1,?2,?3,?4)",
    [WRITE_BODY] =
        "INSERT INTO body(instance, rid, time, size, stored, truncated,"
        " segment, place) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
        " ON CONFLICT(instance, rid) DO NOTHING",
    [WRITE_SEGMENT] = "INSERT INTO segment VALUES(?1,?2,?3,?4)"
                      " ON CONFLICT(id) DO UPDATE SET"
                      " bodies = bodies + excluded.bodies,"
                      " bytes = bytes + excluded.bytes,"
                      " ending = max(ending, excluded.ending)",
    [WRITE_PENALTY] =
        "INSERT INTO penalty(key, model, time, until, extra,"
        " max_concurrent, http, state, level, status, reason, instance)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)"
        " ON CONFLICT(key, model) DO UPDATE SET time = excluded.time,"
        " until = excluded.until, extra = excluded.extra,"
        " max_concurrent = excluded.max_concurrent, http = excluded.http,"
        " state = excluded.state, level = excluded.level,"
        " status = excluded.status, reason = excluded.reason,"
        " instance = excluded.instance"
        " WHERE excluded.until >= until OR instance = excluded.instance",
    [WRITE_PENALTY_GONE] = "DELETE FROM penalty WHERE key = ?1 AND model = ?2",
    [WRITE_EVENT] = "INSERT INTO key_event(key, model, time, until, extra,"
                    " max_concurrent, http, state, level, status, reason)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [WRITE_KEY] =
        "INSERT INTO key(id, fingerprint, name, account, position, round)"
        " VALUES(" NEXT_ID(
            "key",
            "13") ",?1,?2,?3,?4,?5) ON CONFLICT(fingerprint) DO UPDATE SET"
                  " name = excluded.name, account = excluded.account,"
                  " position = excluded.position, round = excluded.round",
    [WRITE_PLACE] = "INSERT INTO key_place VALUES(?1,?2,?3,?4)"
                    " ON CONFLICT(key, proxy) DO UPDATE SET"
                    " position = excluded.position, round = excluded.round",
    [TRIM_PLACES] = "DELETE FROM key_place WHERE proxy = '?'"
                    " OR (proxy = ?1 AND round <> ?2)",
    [WRITE_KEYS] =
        "UPDATE key SET position = (SELECT position FROM key_place p"
        " WHERE p.key = key.fingerprint ORDER BY round DESC LIMIT 1)",
    [WRITE_SEQ] =
        "INSERT INTO instance(value, last_seq, seen) VALUES(?1,?2,?3)"
        " ON CONFLICT(value) DO UPDATE SET last_seq = excluded.last_seq,"
        " seen = excluded.seen",
    [WRITE_MINUTE] =
        "INSERT INTO usage_minute VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
        "?9,?10,?11) ON CONFLICT(kind, minute, ref) " STORE_ADD_COUNTS,
    [WRITE_HOUR] = "INSERT INTO usage_hour VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
                   "?9,?10)"
                   " ON CONFLICT(hour, series) " STORE_ADD_COUNTS,
    [WRITE_SUM] = "INSERT INTO usage_sum VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
                  "?9,?10,?11)"
                  " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS,
    [WRITE_BOUND] = "INSERT INTO usage_bound VALUES(?1, ?2)"
                    " ON CONFLICT(id) DO UPDATE SET minute = excluded.minute",
    [ROLL_MINUTES] =
        "INSERT INTO usage_sum SELECT ?3, ?4, ref, sum(requests), sum(errors),"
        " sum(prompt), sum(completion), sum(cached), sum(estimated),"
        " sum(cost), sum(priced)"
        " FROM usage_minute WHERE kind = ?1 AND minute >= ?2"
        " AND minute < ?2 + 10 GROUP BY ref"
        " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS,
    [ROLL_TEN] = "INSERT INTO usage_sum SELECT ?3, ?4, ref, " STORE_COUNTS
                 "FROM usage_sum WHERE kind = ?1 AND time = ?2"
                 " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS,
    [FIND_BOUNDS] = "SELECT id, minute FROM usage_bound",
    [FIND_NEWEST] = "SELECT max(minute) FROM usage_minute WHERE kind = 0",
    [FIND_UNROLLED] = "SELECT min(minute) FROM usage_minute WHERE kind = 0"
                      " AND minute >= ?1",
    [WRITE_TOTAL] =
        "UPDATE total SET requests = requests + ?1, errors = errors + ?2,"
        " prompt = prompt + ?3, completion = completion + ?4,"
        " cached = cached + ?5, estimated = estimated + ?6,"
        " cost = cost + ?7, priced = priced + ?8 WHERE id = 1",
    [WRITE_COMBO_LAST] = "UPDATE combo SET last = ?2 WHERE id = ?1",
    [FIND_SEQ] = "SELECT last_seq FROM instance WHERE value = ?1",
    [FIND_INSTANCE] = "SELECT id FROM instance WHERE value = ?1",
    [ADD_INSTANCE] =
        "INSERT INTO instance(value, last_seq, seen) VALUES(?1, 0, ?2)",
    [FIND_KEY] = "SELECT id FROM key WHERE fingerprint = ?1",
    [ADD_KEY] =
        "INSERT INTO key(id, fingerprint, name, account, position, round)"
        " VALUES(" NEXT_ID("key", "13") ", ?1, '', '', NULL, 0)",
    [FIND_MODEL] = "SELECT id FROM model WHERE name = ?1",
    [ADD_MODEL] =
        "INSERT INTO model(id, name) VALUES(" NEXT_ID("model", "14") ", ?1)",
    [FIND_CLIENT] = "SELECT id FROM client WHERE address = ?1 AND name = ?2",
    [ADD_CLIENT] = "INSERT INTO client(address, name) VALUES(?1, ?2)",
    [FIND_SERIES] =
        "SELECT id FROM series WHERE client = ?1 AND key = ?2 AND model = ?3",
    [ADD_SERIES] = "INSERT INTO series(client, key, model) VALUES(?1, ?2, ?3)",
    [FIND_COMBO] = "SELECT id FROM combo WHERE series = ?1 AND status = ?2",
    [ADD_COMBO] = "INSERT INTO combo(series, status, last) VALUES(?1, ?2, 0)",
    [WRITE_DAY] = "UPDATE series SET day = ?2 WHERE id = ?1 AND day < ?2",
    /* no row of a combo has a greater id than its last; they are in the order
     * of their statuses, which are few */
    [OLD_COMBOS] =
        "WITH RECURSIVE one(status) AS (SELECT min(status) FROM combo"
        " UNION ALL SELECT (SELECT min(status) FROM combo WHERE"
        " status > one.status) FROM one WHERE one.status IS NOT NULL)"
        "SELECT c.id, c.series FROM one CROSS JOIN combo c"
        " ON c.status = one.status AND c.last <"
        " coalesce((SELECT min(id) FROM request), ?1)"
        " WHERE NOT EXISTS (SELECT 1 FROM request r WHERE r.combo = c.id)"
        " LIMIT ?2",
    [TRIM_COMBO] = "DELETE FROM combo WHERE id = ?1",
    [SOME_SERIES] = "SELECT id FROM series WHERE id > ?1 ORDER BY id LIMIT ?2",
    [ONE_SERIES] = "SELECT client, model, day,"
                   " EXISTS (SELECT 1 FROM combo WHERE series = s.id)"
                   " FROM series s WHERE id = ?1",
    [ONE_HOUR] = "SELECT 1 FROM usage_hour WHERE hour = ?1 AND series = ?2",
    [SOME_MODELS] = "SELECT id FROM model WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SOME_CLIENTS] = "SELECT id FROM client WHERE id > ?1 ORDER BY id LIMIT ?2",
    /* is it "(other)", has it series, its last day; kinds of days are those of
     * enum store_kind + 12; the index on these has to be told */
    [ONE_MODEL] =
        "SELECT name = '(other)',"
        " EXISTS (SELECT 1 FROM series WHERE model = m.id),"
        " (SELECT max(time) FROM usage_sum u INDEXED BY usage_sum_ref WHERE u.kind = 14"
        " AND u.kind >= 12 AND u.ref = m.id) FROM model m"
        " WHERE id = ?1",
    [ONE_CLIENT] =
        "SELECT address = '(other)' AND name = '',"
        " EXISTS (SELECT 1 FROM series WHERE client = c.id),"
        " (SELECT max(time) FROM usage_sum u INDEXED BY usage_sum_ref WHERE u.kind = 15"
        " AND u.kind >= 12 AND u.ref = c.id) FROM client c"
        " WHERE id = ?1",
    [ONE_SUM] = "SELECT 1 FROM usage_sum WHERE kind = ?1 AND time = ?2"
                " AND ref = ?3",
    [FOLD_DAYS] = "INSERT INTO usage_sum SELECT kind, time, ?3, " STORE_COUNTS
                  "FROM usage_sum INDEXED BY usage_sum_ref"
                  " WHERE kind = ?1 AND kind >= 12 AND ref = ?2"
                  " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS,
    [TRIM_DAYS] = "DELETE FROM usage_sum INDEXED BY usage_sum_ref"
                  " WHERE kind = ?1 AND kind >= 12 AND ref = ?2",
    [TRIM_SERIES] = "DELETE FROM series WHERE id = ?1",
    [TRIM_CLIENT] = "DELETE FROM client WHERE id = ?1",
    [TRIM_MODEL] = "DELETE FROM model WHERE id = ?1",
    [TRIM_KEYS] =
        "DELETE FROM key WHERE position IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM series s WHERE s.key = key.id)"
        " AND NOT EXISTS (SELECT 1 FROM usage_sum u INDEXED BY usage_sum_ref WHERE u.kind = 13"
        " AND u.kind >= 12 AND u.ref = key.id)"
        " AND NOT EXISTS (SELECT 1 FROM penalty p WHERE"
        " p.key = key.fingerprint)"
        " AND NOT EXISTS (SELECT 1 FROM key_event e WHERE"
        " e.key = key.fingerprint)",
    /* the last of a piece, the last old one in it, and how many are of now */
    [OLD_REQUESTS] =
        "SELECT max(id), max(CASE WHEN time < ?1 THEN id END),"
        " sum(time <= ?3), count(*) FROM (SELECT id, time FROM request"
        " WHERE id > ?4 ORDER BY id LIMIT ?2)",
    [OLD_EVENTS] =
        "SELECT max(id), max(CASE WHEN time < ?1 THEN id END),"
        " sum(time <= ?3), count(*) FROM (SELECT id, time FROM key_event"
        " WHERE id > ?4 ORDER BY id LIMIT ?2)",
    /* from the lowest ids on, so that no index on time is needed */
    [TRIM_REQUESTS] =
        "DELETE FROM request WHERE id IN (SELECT id FROM request ORDER BY id"
        " LIMIT ?2) AND (time < ?1 OR (time > ?3 AND id < ?4))",
    [TRIM_OTHERS] =
        "DELETE FROM other_name WHERE id IN (SELECT id FROM other_name"
        " ORDER BY id LIMIT ?2) AND id <= ?1 AND NOT EXISTS"
        " (SELECT 1 FROM request r WHERE r.id = other_name.id)",
    [TRIM_MINUTES] =
        "DELETE FROM usage_minute WHERE (kind, minute, ref) IN (SELECT kind,"
        " minute, ref FROM usage_minute WHERE kind = ?3 AND minute < ?1"
        " LIMIT ?2)",
    [OLD_MINUTE] = "SELECT 1 FROM usage_minute WHERE kind = ?2 AND minute < ?1"
                   " LIMIT 1",
    [OLD_SUM] = "SELECT 1 FROM usage_sum WHERE kind = ?2 AND time < ?1 LIMIT 1",
    [OLD_SUMS] = "SELECT time, ref FROM usage_sum WHERE kind = ?2 AND time < ?1"
                 " ORDER BY time, ref LIMIT ?3",
    [TRIM_SUMS] =
        "DELETE FROM usage_sum WHERE (kind, time, ref) IN (SELECT kind, time,"
        " ref FROM usage_sum WHERE kind = ?3 AND time < ?1 LIMIT ?2)",
    [TRIM_SUM] =
        "DELETE FROM usage_sum WHERE kind = ?1 AND time = ?2 AND ref = ?3",
    [OLD_HOURS] = "SELECT series FROM usage_hour WHERE hour < ?1"
                  " ORDER BY hour, series LIMIT ?2",
    [TRIM_HOURS] =
        "DELETE FROM usage_hour WHERE (hour, series) IN (SELECT hour, series"
        " FROM usage_hour WHERE hour < ?1 ORDER BY hour, series LIMIT ?2)",
    [TRIM_EVENTS] =
        "DELETE FROM key_event WHERE id IN (SELECT id FROM key_event ORDER BY"
        " id LIMIT ?2) AND (time < ?1 OR (time > ?3 AND id < ?4))",
    [TRIM_PENALTIES] = "DELETE FROM penalty WHERE until < ?1",
    /* the greatest id stays, so that none is given twice */
    [TRIM_INSTANCES] = "DELETE FROM instance WHERE seen < ?1"
                       " AND id < (SELECT max(id) FROM instance)",
    [TRIM_BODY_FIND] =
        "SELECT b.id, i.value, b.rid, b.time, b.stored, b.segment"
        " FROM body b LEFT JOIN instance i ON i.id = b.instance"
        " ORDER BY b.id LIMIT ?1",
    [TRIM_BODY] = "DELETE FROM body WHERE id = ?1",
    [TRIM_SEGMENT_FIND] = "SELECT id, bodies, bytes FROM segment ORDER BY id"
                          " LIMIT 1",
    /* they are the lowest ids, or nearly so */
    [TRIM_SEGMENT_ROWS] =
        "DELETE FROM body WHERE id IN (SELECT id FROM body WHERE segment = ?1"
        " ORDER BY id LIMIT ?2)",
    [TRIM_SEGMENT_LESS] =
        "UPDATE segment SET bodies = bodies - ?2 WHERE id = ?1",
    [TRIM_SEGMENT] = "DELETE FROM segment WHERE id = ?1",
    [WRITE_GIVEN] = "INSERT INTO given VALUES(1, ?1)"
                    " ON CONFLICT(id) DO UPDATE SET last = excluded.last",
    [WRITE_BEGAN] = "INSERT INTO began VALUES(?1, ?2)"
                    " ON CONFLICT(minute) DO UPDATE SET last = excluded.last",
    [TRIM_BEGAN] = "DELETE FROM began WHERE minute IN (SELECT minute FROM began"
                   " ORDER BY minute LIMIT ?2)"
                   " AND last < coalesce((SELECT min(id) FROM request), ?1)",
    [FIND_TIME] = "SELECT max(time) FROM (SELECT time FROM clock"
                  " UNION ALL SELECT time FROM request WHERE NOT EXISTS"
                  " (SELECT 1 FROM clock) AND id ="
                  " (SELECT max(id) FROM request))",
    [WRITE_TIME] = "INSERT INTO clock VALUES(1, ?1)"
                   " ON CONFLICT(id) DO UPDATE SET time = excluded.time",
    [WRITE_SPREAD] =
        "INSERT INTO usage_spread VALUES(?1,?2,?3,?4) ON CONFLICT(kind, time,"
        " ref) DO UPDATE SET counts = spread_sum(counts, excluded.counts)",
    [TRIM_SPREAD] =
        "DELETE FROM usage_spread WHERE (kind, time, ref) IN (SELECT kind,"
        " time, ref FROM usage_spread WHERE kind = ?1 AND time < ?2 LIMIT ?3)",
    [FIND_SPREAD] = "SELECT counts FROM usage_spread WHERE kind = ?1"
                    " AND time >= ?2 AND time < ?3 AND ref = ?4",
    [FIND_SPREAD_FIRST] = STORE_SPREAD_FIRST,
    [WRITE_EVENT_USED] =
        "UPDATE key_event SET used_from = ?1, used_tokens = ?2,"
        " used_requests = ?3 WHERE id = ?4",
    [WRITE_PENALTY_USED] =
        "UPDATE penalty SET used_from = ?1, used_tokens = ?2,"
        " used_requests = ?3 WHERE key = ?4 AND model = ?5",
    [WRITE_TURN] = STORE_TURNS_WRITE,
    [TRIM_TURNS] = STORE_TURNS_TRIM,
};
