/*
 * sql FILE STATEMENTS: runs them on a SQLite file, prints rows with a tab
 * between two columns.  For tests that look into a ledger, or make one as an
 * older version left it.
 *
 * sql FILE -: each line of the input, in turn, on one connection; "done" behind
 * the rows of each.  For tests in which somebody else has the ledger open.
 */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static int on_row(void *arg, int n, char **values, char **names) {
    (void)arg;
    (void)names;
    for (int i = 0; i < n; i++)
        printf("%s%s", i ? "\t" : "", values[i] ? values[i] : "");
    putchar('\n');
    return 0;
}

static int each_line(sqlite3 *db) {
    static char line[65536];

    while (fgets(line, sizeof(line), stdin)) {
        if (sqlite3_exec(db, line, on_row, NULL, NULL) != SQLITE_OK) return -1;
        puts("done");
        fflush(stdout);
    }
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
        (strcmp(argv[2], "-") == 0
             ? each_line(db)
             : sqlite3_exec(db, argv[2], on_row, NULL, NULL)) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], sqlite3_errmsg(db));
        return 1;
    }
    sqlite3_close(db);
    return 0;
}
