# vinci: `make`, `make test`, `make install`, `make help`. Everything is built below $(BUILD).
#
# SAN=address,undefined  sanitizers        CC=clang            another compiler
# BUILD=dir              another build     PREFIX= DESTDIR=    where `make install` puts things
# WERROR=1               warnings stop the build

BUILD ?= build
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
VERSION := $(shell sed -n 's/^.define VINCI_VERSION "\(.*\)"/\1/p' include/vinci.h)

PACKAGES := libpcre2-8 jansson yajl
WARNINGS := -Wall -Wextra -Wshadow $(if $(WERROR),-Werror)
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# The numeric contract (docs/kernels.md): fma only where it is written.
override CFLAGS += -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fPIC \
	-fvisibility=hidden -Iinclude -Isrc $(WARNINGS) $(SANITIZE)
override CPPFLAGS += $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
override LDLIBS += $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -pthread -lm
override LDFLAGS += $(SANITIZE)

ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
LIB_SRC := $(wildcard src/base/*.c src/model/*.c src/text/*.c src/device/*.c src/device/cpu/*.c \
	src/engine/*.c src/comm/*.c)
CLI_SRC := $(wildcard src/cli/*.c src/bench/*.c src/serve/*.c)
TEST_SRC := $(wildcard tests/*/test_*.c)
TEST_LIB_SRC := $(wildcard tests/*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/%.o)
TEST_LIB_OBJ := $(TEST_LIB_SRC:%.c=$(BUILD)/%.o)
TESTS := $(TEST_SRC:%.c=$(BUILD)/%)

all: $(BUILD)/vinci $(BUILD)/libvinci.a

$(BUILD)/vinci: $(CLI_OBJ) $(BUILD)/libvinci.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libvinci.a: $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

# One instruction set, one file, its own flags; the rest of the program is baseline.
ifeq ($(ARCH),x86_64)
$(BUILD)/src/device/cpu/kernels_avx2.o: override CFLAGS += -mavx2 -mfma -mf16c
$(BUILD)/src/device/cpu/kernels_avx512%.o: override CFLAGS += -mavx2 -mfma -mf16c -mavx512f \
	-mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx512vbmi -mtune=icelake-server
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# tests/<layer>/test_<name>.c: one cmocka program each, linked with the library.
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_LIB_OBJ) $(BUILD)/libvinci.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$(BUILD)/tests/%.o: override CFLAGS += -Itests -DTEST_VECTORS='"$(CURDIR)/tests/vectors"'

tests: $(TESTS) all

test: tests
	sh tests/run $(BUILD)

clean:
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:=.d) $(TEST_LIB_OBJ:.o=.d)

.PHONY: all tests test clean
.SECONDARY:
