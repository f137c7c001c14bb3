# The simulator of the cloud: $(BUILD)/cloud-sim. Included by the Makefile at the
# root, and usable alone: make -f t/cloud/cloud.mk BUILD=/tmp/x/build

BUILD    ?= build
CFLAGS   ?= $(if $(SANITIZE),-O1,-O2) -g
WARNINGS ?= -Wall -Wextra -Werror
COMMA    := ,
SAN      ?= $(if $(SANITIZE),-fsanitize=address$(COMMA)undefined \
                -fno-sanitize-recover=all -fno-omit-frame-pointer)

CLOUD_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) $(SAN) $(CPPFLAGS)
CLOUD_FROM   = $(wildcard t/cloud/*.c) ngx_ollama_module/core/sha256.c
CLOUD_OBJS   = $(patsubst %.c,$(BUILD)/cloud/%.o,$(notdir $(CLOUD_FROM)))

$(BUILD)/cloud-sim: $(CLOUD_OBJS)
	@$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -levent_core -lyajl -lz
	@echo "Built $@"

$(BUILD)/cloud/%.o: t/cloud/%.c
	@mkdir -p $(@D)
	@$(CC) $(CLOUD_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/cloud/sha256.o: ngx_ollama_module/core/sha256.c
	@mkdir -p $(@D)
	@$(CC) $(CLOUD_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(BUILD)/cloud/*.d)
