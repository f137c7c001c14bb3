/*
 * sql FILE STATEMENTS: runs them on a SQLite file, prints rows with a tab
 * between two columns.  For tests that look into a ledger, or make one as an
 * older version left it.
 */

#include <sqlite3.h>
#include <stdio.h>

static int on_row(void *arg, int n, char **values, char **names) {
    (void)arg;
    (void)names;
    for (int i = 0; i < n; i++)
        printf("%s%s", i ? "\t" : "", values[i] ? values[i] : "");
    putchar('\n');
    return 0;
}

int main(int argc, char **argv) {
    sqlite3 *db;

    if (argc != 3) {
        fputs("usage: sql FILE STATEMENTS\n", stderr);
        return 2;
    }
    if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(db, 5000) != SQLITE_OK ||
        sqlite3_exec(db, argv[2], on_row, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], sqlite3_errmsg(db));
        return 1;
    }
    sqlite3_close(db);
    return 0;
}
