# The tests of the pool of keys: a module for the nginx that the module itself
# is built for, whose headers are in $(TREE). See t/pool/harness.h.

POOL_TEST_SRC = $(wildcard t/pool/*.c) \
                $(wildcard ngx_ollama_module/pool/*.c) \
                $(CORE_SRC)
POOL_TEST_INC = $(addprefix -I$(TREE)/,src/core src/event src/event/modules \
                    src/os/unix objs) -Ingx_ollama_module \
                -Ingx_ollama_module/core

$(BUILD)/pool_test.so: $(POOL_TEST_SRC) $(wildcard t/pool/*.h) \
                       $(wildcard ngx_ollama_module/pool/*.h) $(CORE_HDR) \
                       t/pool/pool.mk $(MODULE)
	@$(CC) -D_GNU_SOURCE -shared -fPIC $(CFLAGS) $(WARNINGS) \
	    -Wno-unused-parameter $(SAN) \
	    $(if $(SANITIZE),-Wl$(COMMA)-Bsymbolic) $(POOL_TEST_INC) -o $@ \
	    $(POOL_TEST_SRC) -lyajl -lyaml -lz $(UNIT_ZSTD)
	@echo "Built $@"
