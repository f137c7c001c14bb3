# Tools of the tests that are not of one part: $(BUILD)/load makes requests.
# Included by the Makefile at the root, and usable alone:
# make -f t/tools/tools.mk BUILD=/tmp/x/build /tmp/x/build/load

BUILD    ?= build
CFLAGS   ?= $(if $(SANITIZE),-O1,-O2) -g
WARNINGS ?= -Wall -Wextra -Werror
COMMA    := ,
SAN      ?= $(if $(SANITIZE),-fsanitize=address$(COMMA)undefined \
                -fno-sanitize-recover=all -fno-omit-frame-pointer)

$(BUILD)/load: t/tools/load.c
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) $(SAN) $(LDFLAGS) -o $@ $<
	@echo "Built $@"
