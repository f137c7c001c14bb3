# The unit tests of the pure C parts: every t/unit/test_*.c is a program of its
# own, linked with all of ngx_ollama_module/core, and those of the daemon with
# the parts of it that they are about.
#
#     make -f t/unit/unit.mk unit        build them
#     make -f t/unit/unit.mk check-unit  and run them
#
# Read by the root Makefile too, which gives BUILD, CFLAGS, WARNINGS, SAN.

BUILD    ?= build
CFLAGS   ?= -O2 -g
WARNINGS ?= -Wall -Wextra -Werror

CORE_SRC  = $(wildcard ngx_ollama_module/core/*.c)
CORE_HDR  = $(wildcard ngx_ollama_module/core/*.h)
CORE_OBJ  = $(CORE_SRC:ngx_ollama_module/core/%.c=$(BUILD)/unit/core/%.o)
UNIT_SRC  = $(wildcard t/unit/test_*.c)
UNIT_HDR  = $(wildcard t/unit/*.h)
UNIT      = $(UNIT_SRC:t/unit/%.c=$(BUILD)/unit/%)
UNIT_CC   = $(CC) -std=c11 -D_GNU_SOURCE -Ingx_ollama_module/core \
            $(CFLAGS) $(WARNINGS) $(SAN)
UNIT_LIBS = -lcmocka -lyajl -lyaml -lcrypto -lz $(UNIT_ZSTD)
UNIT_ZSTD := $(shell echo '\#include <zstd.h>' | $(CC) -E - >/dev/null 2>&1 \
                     && echo -lzstd)

.PHONY: unit check-unit

unit: $(UNIT)

check-unit: unit
	@failed=0; for t in $(UNIT); do $$t || failed=1; done; exit $$failed

$(BUILD)/unit/core/%.o: ngx_ollama_module/core/%.c $(CORE_HDR)
	@mkdir -p $(@D)
	$(UNIT_CC) -c -o $@ $<

# Made anew each time, so that an object whose source is gone leaves it.

$(BUILD)/unit/core.a: $(CORE_OBJ)
	@rm -f $@
	ar -rcs $@ $(CORE_OBJ)

$(BUILD)/unit/test_segments: UNIT_MORE = stats-daemon/bodies/segments.c \
                                         stats-daemon/base/util.c -lz
$(BUILD)/unit/test_segments: stats-daemon/bodies/segments.c
$(BUILD)/unit/test_redact: UNIT_MORE = stats-daemon/bodies/redact.c \
                                       stats-daemon/base/util.c -lpcre2-8
$(BUILD)/unit/test_redact: stats-daemon/bodies/redact.c \
                           stats-daemon/bodies/redact.h
$(BUILD)/unit/test_clock: UNIT_MORE = stats-daemon/base/clock.c
$(BUILD)/unit/test_clock: stats-daemon/base/clock.c stats-daemon/base/clock.h

$(BUILD)/unit/test_balance: UNIT_MORE = stats-daemon/balance/money.c \
                                        stats-daemon/balance/told.c \
                                        stats-daemon/base/util.c \
                                        $(BUILD)/unit/core.a
$(BUILD)/unit/test_balance: $(wildcard stats-daemon/balance/*.[ch])

$(BUILD)/unit/test_levels: UNIT_MORE = stats-daemon/store/sqlite/levels.c
$(BUILD)/unit/test_levels: stats-daemon/store/sqlite/levels.c \
                           stats-daemon/store/sqlite/levels.h

$(BUILD)/unit/test_state: UNIT_MORE = stats-daemon/wire/state.c \
                                      stats-daemon/wire/run_list.c \
                                      stats-daemon/base/util.c \
                                      $(BUILD)/unit/core.a
$(BUILD)/unit/test_state: stats-daemon/wire/state.c stats-daemon/wire/state.h

$(BUILD)/unit/test_metrics_text: UNIT_MORE = stats-daemon/web/metrics_text.c \
                                             stats-daemon/web/metrics_histogram.c \
                                             stats-daemon/base/json.c \
                                             stats-daemon/base/util.c -lm
$(BUILD)/unit/test_metrics_text: stats-daemon/web/metrics_text.c \
                                 stats-daemon/web/metrics_histogram.c

# a store, and the one in memory to compare it with

UNIT_STORE = t/unit/memory_store.c t/unit/memory_ask.c $(wildcard $(addprefix stats-daemon/, \
    base/*.c store/*.c store/sqlite/*.c))
$(BUILD)/unit/test_store: UNIT_MORE = $(UNIT_STORE) $(BUILD)/unit/core.a \
                                      -lsqlite3 -levent_core -lpthread -lm
$(BUILD)/unit/test_store: $(UNIT_STORE) $(wildcard $(addprefix stats-daemon/, \
    */*.h */*/*.h))
$(BUILD)/unit/test_batch: UNIT_MORE = $(UNIT_STORE) \
    $(addprefix stats-daemon/, ledger/batch.c ledger/frames.c \
                               bodies/segments.c bodies/redact.c) \
    $(BUILD)/unit/core.a -lpcre2-8 -lsqlite3 -levent_core -lz -lpthread -lm
$(BUILD)/unit/test_batch: $(UNIT_STORE) stats-daemon/ledger/batch.c \
                          stats-daemon/ledger/frames.c

$(BUILD)/unit/test_spread: UNIT_MORE = stats-daemon/base/spread.c \
                                       stats-daemon/base/buckets.c -lm
$(BUILD)/unit/test_spread: stats-daemon/base/spread.c \
                           stats-daemon/base/buckets.c

$(BUILD)/unit/test_cause: UNIT_MORE = stats-daemon/store/cause.c \
                                      $(BUILD)/unit/core.a
$(BUILD)/unit/test_cause: stats-daemon/store/cause.c stats-daemon/store/cause.h

$(UNIT): $(BUILD)/unit/%: t/unit/%.c $(UNIT_HDR) $(BUILD)/unit/core.a
	$(UNIT_CC) -o $@ $< $(BUILD)/unit/core.a $(UNIT_MORE) $(UNIT_LIBS)
