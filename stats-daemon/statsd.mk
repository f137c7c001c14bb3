# ollama-statsd, and the tools that test it.
#
#     make -f stats-daemon/statsd.mk            by itself
#     include stats-daemon/statsd.mk            in the root Makefile
#
# BUILD, CC, CFLAGS, LDFLAGS, SANITIZE are taken from whoever includes this.
# SANITIZE=thread makes ThreadSanitizer look, for tests of the daemon alone.

BUILD  ?= build
CC     ?= cc
CFLAGS ?= -O2 -g

STATSD_DIR  := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
STATSD_ROOT := $(STATSD_DIR)/..
STATSD_PAGE ?= $(or $(PREFIX),/usr)/share/ollama-proxy/dashboard

STATSD_COMMA := ,
STATSD_SAN   := $(if $(SANITIZE),$(if $(filter thread,$(SANITIZE)), \
    -fsanitize=thread,-fsanitize=address$(STATSD_COMMA)undefined) \
    -fno-sanitize-recover=all -fno-omit-frame-pointer)

STATSD_CFLAGS = -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror $(CFLAGS) \
    $(STATSD_SAN) -MMD -MP
STATSD_LIBS   = -levent_core -levent_extra -lsqlite3 -lyajl -lpcre2-8 -lz -lpthread -lm

STATSD_OBJ := $(BUILD)/obj/statsd
STATSD_CORE := $(patsubst %,$(STATSD_OBJ)/core_%.o, \
    record record_request frame crc32 words error json price \
    json_reader retry_after)
STATSD_PARTS := $(patsubst $(STATSD_DIR)/%.c,$(STATSD_OBJ)/%.o, \
    $(filter-out %/main.c,$(wildcard $(addprefix $(STATSD_DIR)/,*/*.c */*/*.c))))

STATSD_Q := $(if $(V),,@)

.PHONY: statsd
statsd: $(BUILD)/ollama-statsd

$(STATSD_OBJ)/%.o: $(STATSD_DIR)/%.c
	@mkdir -p $(@D)
	$(STATSD_Q)$(CC) $(STATSD_CFLAGS) -DSTATSD_PAGE='"$(STATSD_PAGE)"' -c $< -o $@

$(STATSD_OBJ)/core_%.o: $(STATSD_ROOT)/ngx_ollama_module/core/%.c
	@mkdir -p $(@D)
	$(STATSD_Q)$(CC) $(STATSD_CFLAGS) -c $< -o $@

$(STATSD_OBJ)/tool_%.o: $(STATSD_ROOT)/t/tools/%.c
	@mkdir -p $(@D)
	$(STATSD_Q)$(CC) $(STATSD_CFLAGS) -c $< -o $@

$(STATSD_OBJ)/bench_%.o: $(STATSD_ROOT)/t/bench/%.c
	@mkdir -p $(@D)
	$(STATSD_Q)$(CC) $(STATSD_CFLAGS) -c $< -o $@

$(BUILD)/ollama-statsd: $(STATSD_OBJ)/main.o $(STATSD_PARTS) $(STATSD_CORE) \
                        | $(BUILD)/dashboard/index.html $(BUILD)/dashboard/chart.js
	$(STATSD_Q)$(CC) $(CFLAGS) $(STATSD_SAN) $(LDFLAGS) $^ -o $@ $(STATSD_LIBS)
	@echo "Built $@"

$(BUILD)/dashboard/index.html: $(wildcard $(STATSD_ROOT)/dashboard/*)
	@mkdir -p $(@D)
	@cp -r $^ $(@D)/
	@touch $@

# Debian's libjs-chart.js; without it the page shows tables instead of charts
STATSD_CHART ?= /usr/share/javascript/chart.js/chart.min.js

$(BUILD)/dashboard/chart.js: $(wildcard $(STATSD_CHART))
	@mkdir -p $(@D)
	@if [ -n "$^" ]; then cp $(STATSD_CHART) $@; else \
	    echo "No $(STATSD_CHART): no charts in the dashboard" >&2; : > $@; fi

# JSON lines in, frames out: drives the ingest socket in tests
$(BUILD)/frames: $(STATSD_OBJ)/tool_frames.o $(STATSD_CORE)
	$(STATSD_Q)$(CC) $(CFLAGS) $(STATSD_SAN) $(LDFLAGS) $^ -o $@ -lyajl

# runs SQL on a file, in tests
$(BUILD)/sql: $(STATSD_OBJ)/tool_sql.o
	$(STATSD_Q)$(CC) $(CFLAGS) $(STATSD_SAN) $(LDFLAGS) $^ -o $@ -lsqlite3

# what is loaded before the daemon in tests: powercut.so notes what it asks of
# the disk, wrongclock.so gives it wrong clocks, stuckdisk.so a disk that hangs
$(BUILD)/powercut.so $(BUILD)/wrongclock.so $(BUILD)/stuckdisk.so: $(BUILD)/%.so: \
        $(STATSD_ROOT)/t/tools/%.c
	@mkdir -p $(@D)
	$(STATSD_Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 \
	    -g -shared -fPIC $< -o $@

# fills a ledger, sends frames as fast as they are taken, prints query plans
$(BUILD)/ingest_bench: $(STATSD_OBJ)/bench_ingest_bench.o $(STATSD_PARTS) \
                       $(STATSD_CORE)
	$(STATSD_Q)$(CC) $(CFLAGS) $(STATSD_SAN) $(LDFLAGS) $^ -o $@ $(STATSD_LIBS)
	@echo "Built $@"

-include $(wildcard $(addprefix $(STATSD_OBJ)/,*.d */*.d */*/*.d))
