# The fuzz targets: every t/fuzz/fuzz_*.c is a libFuzzer program with all of
# ngx_ollama_module/core in it, under AddressSanitizer and UBSan.
#
#     make fuzz [FUZZ_TIME=60]           each for so many seconds
#     make -f t/fuzz/fuzz.mk fuzz        without the root Makefile
#     make fuzz FUZZ_ONLY=fuzz_usage     one of them
#
# Seeds are in t/fuzz/corpus/NAME, words in t/fuzz/NAME.dict (if there are any);
# what is found goes to $(BUILD)/fuzz/corpus, the input of a failure to
# $(BUILD)/fuzz.

BUILD     ?= build
CLANG     ?= clang
FUZZ_TIME ?= 60
FUZZ_ONLY ?= $(notdir $(FUZZ))

FUZZ_SRC  = $(wildcard t/fuzz/fuzz_*.c)
FUZZ_HDR  = $(wildcard t/fuzz/*.h ngx_ollama_module/core/*.h)
FUZZ      = $(FUZZ_SRC:t/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_CORE = $(patsubst ngx_ollama_module/core/%.c,$(BUILD)/fuzz/core/%.o, \
                $(wildcard ngx_ollama_module/core/*.c))
FUZZ_CC   = $(CLANG) -std=c11 -D_GNU_SOURCE -Ingx_ollama_module/core -It/fuzz \
            -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer \
            -fno-sanitize-recover=all
FUZZ_LIBS = -lyajl -lyaml -lcrypto -lz $(FUZZ_ZSTD)
FUZZ_ZSTD := $(shell echo '\#include <zstd.h>' | $(CC) -E - >/dev/null 2>&1 \
                     && echo -lzstd)

.PHONY: fuzz fuzz-build

fuzz-build: $(FUZZ)

fuzz:
	@$(if $(PACKAGES_FUZZ),mk/packages $(PACKAGES_FUZZ),true)
	+@$(MAKE) --no-print-directory $(if $(PACKAGES_FUZZ),,-f t/fuzz/fuzz.mk) \
	    fuzz-build
	@for t in $(FUZZ_ONLY); do \
	    echo "$$t, $(FUZZ_TIME) s"; \
	    mkdir -p $(BUILD)/fuzz/corpus/$$t; \
	    seeds=t/fuzz/corpus/$$t; \
	    [ -d $$seeds ] || seeds=; \
	    words=; \
	    [ ! -f t/fuzz/$$t.dict ] || words=-dict=t/fuzz/$$t.dict; \
	    $(BUILD)/fuzz/$$t -max_total_time=$(FUZZ_TIME) -max_len=4096 \
	        -timeout=10 -verbosity=0 -print_final_stats=1 $$words \
	        -artifact_prefix=$(BUILD)/fuzz/$$t- \
	        $(BUILD)/fuzz/corpus/$$t $$seeds || exit 1; \
	done

$(BUILD)/fuzz/core/%.o: ngx_ollama_module/core/%.c $(FUZZ_HDR)
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<

$(BUILD)/fuzz/core.a: $(FUZZ_CORE)
	@rm -f $@
	ar -rcs $@ $(FUZZ_CORE)

$(FUZZ): $(BUILD)/fuzz/%: t/fuzz/%.c $(FUZZ_HDR) $(BUILD)/fuzz/core.a
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $< \
	    $(BUILD)/fuzz/core.a $(FUZZ_LIBS)
