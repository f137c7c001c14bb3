# ngx_ollama_module: many ollama.com keys behind one local endpoint.
# `make help` says what there is.

SHELL = /bin/bash

PORT     = 11434
UPSTREAM = https://ollama.com
CONFIG   = conf/config.yaml
DATA     = data

# These may be given, too: LISTEN, ENV_FILE, STATSD_CONFIG. See conf/run.

export LISTEN ENV_FILE STATSD_CONFIG

# make SANITIZE=1 ..: all of it with AddressSanitizer and UBSan, in build-asan.
# make NGINX_SRC=/path ..: built from that source instead of Debian's nginx-dev.

SANITIZE  =
NGINX_SRC =
BUILD     = $(if $(SANITIZE),build-asan,build)
CC        = gcc
CFLAGS    = $(if $(SANITIZE),-O1,-O2) -g
JOBS      = 2

PREFIX  = /usr
DESTDIR =

TESTS =
BENCH =

# For the parts' own makefiles (*.mk): what each C file here is compiled with.

WARNINGS = -Wall -Wextra -Werror
COMMA   := ,
SAN      = $(if $(SANITIZE),-fsanitize=address$(COMMA)undefined \
               -fno-sanitize-recover=all -fno-omit-frame-pointer)

# The demo's numbers do not go where the real ones are.

DEMO_DATA := $(abspath $(if $(filter file,$(origin DATA)),data/demo,$(DATA)))

override BUILD := $(abspath $(BUILD))
override DATA := $(abspath $(DATA))

export CC SANITIZE NGINX_SRC BUILD


# Debian packages. `command:package` is satisfied by the command alone.

PACKAGES_BUILD = $(notdir $(firstword $(CC))):$(notdir $(firstword $(CC))) \
    libc6-dev libyajl-dev libyaml-dev libsqlite3-dev zlib1g-dev libzstd-dev \
    libevent-dev libpcre2-dev libjs-chart.js \
    $(if $(NGINX_SRC)$(SANITIZE),libssl-dev,nginx-dev)
PACKAGES_RUN   = $(if $(NGINX_SRC)$(SANITIZE),,nginx:nginx) ca-certificates
PACKAGES_DEMO  = curl
PACKAGES_TEST  = libcmocka-dev libssl-dev perl curl openssl
PACKAGES_BENCH = valgrind:valgrind
PACKAGES_CLIENTS = node:nodejs npm:npm chromium:chromium
PACKAGES_FUZZ  = clang libclang-rt-dev

ifneq ($(SANITIZE),)
PACKAGES_BUILD += $(if $(NGINX_SRC),,nginx:nginx) \
                  $(if $(findstring clang,$(CC)),libclang-rt-dev)
endif


# Real clients and a browser, for the tests that drive them.

NEED_CLIENTS = $(if $(TESTS),$(filter t/agents.t t/clients% t/dashboard%, \
    $(TESTS)),yes)


# The nginx whose module is built: with SANITIZE=1 a whole one of our own.

TREE   = $(BUILD)/nginx-tree
SOURCE = $(abspath $(if $(NGINX_SRC),$(NGINX_SRC),$(if $(SANITIZE),$(BUILD)/nginx-source)))
MODULE = $(BUILD)/ngx_ollama_module.so
NGINX  = $(if $(SOURCE),$(BUILD)/nginx)

MODULE_FILES = config $(wildcard ngx_ollama_module/*.[ch] \
                                 ngx_ollama_module/pool/*.[ch] \
                                 ngx_ollama_module/core/*.[ch])

QUIET    = $(if $(V),,-s)
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
SUBMAKE  = +@$(MAKE) $(PARALLEL) $(QUIET) --no-print-directory

# The parts, each with a makefile of its own.

-include stats-daemon/statsd.mk      # $(BUILD)/ollama-statsd
-include t/cloud/cloud.mk            # $(BUILD)/cloud-sim
-include t/unit/unit.mk              # $(UNIT), unit
-include t/fuzz/fuzz.mk              # fuzz
-include t/tools/tools.mk            # $(BUILD)/load
-include t/pool/pool.mk              # $(BUILD)/pool_test.so
-include t/pages/pages.mk            # screenshots

DAEMON = $(BUILD)/ollama-statsd
CLOUD  = $(BUILD)/cloud-sim
LOAD   = $(BUILD)/load

.DEFAULT_GOAL = build
.PHONY: help build run demo test test-threads bench install clean nginx FORCE


build:
	@mk/packages $(PACKAGES_BUILD) $(PACKAGES_RUN)
	$(SUBMAKE) $(MODULE) $(DAEMON) $(if $(SANITIZE),$(NGINX))

# setpriv: make passes SIGTERM on, but nobody else would if make were killed.

run: build $(NGINX)
	@exec setpriv --pdeathsig TERM env PORT='$(PORT)' UPSTREAM='$(UPSTREAM)' \
	    CONFIG='$(CONFIG)' DATA='$(DATA)' conf/run

demo: build $(NGINX)
	@mk/packages $(PACKAGES_DEMO)
	$(SUBMAKE) $(CLOUD)
	@exec setpriv --pdeathsig TERM env PORT='$(PORT)' DATA='$(DEMO_DATA)' \
	    conf/run --demo

test: build $(NGINX)
	@mk/packages $(PACKAGES_TEST)
	@$(if $(NEED_CLIENTS),mk/packages $(PACKAGES_CLIENTS) \
	    || echo "The tests that need these are skipped")
	$(SUBMAKE) $(CLOUD) $(LOAD) $(BUILD)/frames $(BUILD)/ingest_bench \
	    $(BUILD)/powercut.so $(BUILD)/wrongclock.so $(BUILD)/stuckdisk.so $(UNIT) \
	    $(BUILD)/pool_test.so
	@mk/test $(TESTS)

# The daemon alone, with ThreadSanitizer, in build-tsan.

TSAN = $(abspath build-tsan)

test-threads:
	@mk/packages $(PACKAGES_BUILD) $(PACKAGES_TEST)
	$(MAKE) --no-print-directory -j$(JOBS) -f stats-daemon/statsd.mk \
	    SANITIZE=thread BUILD=$(TSAN) CFLAGS='-O1 -g' statsd \
	    $(addprefix $(TSAN)/,frames sql ingest_bench powercut.so \
	        wrongclock.so stuckdisk.so)
	BUILD=$(TSAN) TSAN_OPTIONS="suppressions=$(CURDIR)/mk/races" \
	    prove --timer -I t/lib $(or $(TESTS),`grep -L 'use Proxy' t/statsd-*.t`)

bench: build $(NGINX)
	@mk/packages $(PACKAGES_TEST) $(PACKAGES_BENCH)
	$(SUBMAKE) $(CLOUD) $(LOAD) $(BUILD)/ingest_bench
	@for b in $(or $(BENCH),`find t/bench -type f -perm -u+x -printf '%P\n' \
	    | sort`); do PATH=$$PATH:/usr/sbin t/bench/$$b || bad="$$bad $$b"; done; \
	    [ -z "$$bad" ] || { echo "Not as wanted:$$bad"; exit 1; }

install: build
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' mk/install

clean:
	rm -rf build build-asan build-tsan

help:
	@sed 's/^    //' mk/help


# The module. configure runs again only when something it looks at has changed;
# nginx's own makefile knows which objects are out of date.

$(BUILD)/nginx-source/src/core/nginx.c:
	@mkdir -p $(BUILD)
	@mk/nginx-source $(BUILD)/nginx-source

$(TREE)/objs/Makefile: FORCE $(if $(NGINX_SRC),,$(if $(SANITIZE),$(BUILD)/nginx-source/src/core/nginx.c))
	@mkdir -p $(BUILD)
	@NGINX_SRC='$(SOURCE)' mk/nginx-tree $(TREE)

# UBSan for the module only: nginx itself hands null pointers of length 0 to
# memcpy, by habit, which is what nonnull-attribute would report in here too.

MODULE_CFLAGS = $(if $(SANITIZE),"CFLAGS=`sed -n 's/^CFLAGS = *//p' \
    $(TREE)/objs/Makefile` -fsanitize=undefined \
    -fno-sanitize=nonnull-attribute -fno-sanitize-recover=all")

$(MODULE): $(TREE)/objs/Makefile $(MODULE_FILES)
	+@$(MAKE) $(PARALLEL) --no-print-directory $(QUIET) -C $(TREE) \
	    -f objs/Makefile modules $(MODULE_CFLAGS)
	@install -m 644 $(TREE)/objs/ngx_ollama_module.so $@
	@echo "Built $@"


# A whole nginx from NGINX_SRC, for tests against another version.

nginx:
	@mk/packages $(PACKAGES_BUILD)
	$(if $(SOURCE),,$(error make nginx needs NGINX_SRC=/path/to/nginx-source))
	$(SUBMAKE) $(BUILD)/nginx

$(BUILD)/nginx: $(TREE)/objs/Makefile
	+@$(MAKE) $(PARALLEL) --no-print-directory $(QUIET) -C $(TREE) \
	    -f objs/Makefile binary
	@install -m 755 $(TREE)/objs/nginx $@

FORCE:
