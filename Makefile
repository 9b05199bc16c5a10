# vinci: `make`, `make test`, `make install`, `make help`. Everything is built below $(BUILD).
#
# SAN=address,undefined  sanitizers        CC=clang            another compiler
# BUILD=dir              another build     PREFIX= DESTDIR=    where `make install` puts things
# WERROR=1               warnings stop the build
# CHOICE='cli/ format'   `make test` runs the tests with one of these in their names

BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
OBJCOPY ?= objcopy
# Where tests find what is too large for the repository; they skip what is not there.
SHARED ?= $(CURDIR)/../shared
# What runs a program that was built: empty, or an emulator when cross-compiling (see aarch64).
RUN ?=

VERSION := $(shell sed -n 's/^.define VINCI_VERSION "\(.*\)"/\1/p' include/vinci.h)
SONAME := libvinci.so.0
PACKAGES := libpcre2-8 jansson yajl hwloc
# For the program alone. Without md4c, whose package not every distribution has, `vinci chat` shows
# answers as they are.
MD4C := $(shell $(PKG_CONFIG) --exists md4c && echo md4c)
# Without librsvg `vinci bench --png` says so.
RSVG := $(shell $(PKG_CONFIG) --exists librsvg-2.0 && echo librsvg-2.0)
CLI_PACKAGES := libedit libcurl libcrypto libmicrohttpd $(MD4C) $(RSVG)
WARNINGS := -Wall -Wextra -Wshadow $(if $(WERROR),-Werror)
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# The numeric contract (docs/kernels.md): fma only where it is written.
override CFLAGS += -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fPIC \
	-fvisibility=hidden -Iinclude -Isrc $(WARNINGS) $(SANITIZE)
override CPPFLAGS += $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
override LDLIBS += $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -pthread -lm -ldl
CLI_LDLIBS := $(shell $(PKG_CONFIG) --libs $(CLI_PACKAGES))
override LDFLAGS += $(SANITIZE)

ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
# Kernels of another architecture are left out.
KERNELS_x86_64 := avx2 avxvnni avx512 avx512_%
KERNELS_aarch64 := neon neon_%
OTHER_KERNELS := $(filter-out $(KERNELS_$(ARCH)),$(KERNELS_x86_64) $(KERNELS_aarch64))
LIB_SRC := $(filter-out $(OTHER_KERNELS:%=src/device/cpu/kernels_%.c),$(wildcard src/base/*.c \
	src/model/*.c src/text/*.c src/device/*.c src/device/cpu/*.c src/device/npu/*.c \
	src/check/*.c src/engine/*.c src/comm/*.c))
CLI_SRC := $(filter-out $(OTHER_KERNELS:%=src/bench/limits_%.c),$(wildcard src/cli/*.c \
	src/hub/*.c src/bench/*.c src/serve/*.c))
TEST_SRC := $(wildcard tests/*/test_*.c)
TEST_LIB_SRC := $(wildcard tests/*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
# The Chinese texts: a table made from po/zh_CN.po, in the program (src/cli/lang.c says why).
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/%.o) $(BUILD)/po/zh_CN.o $(BUILD)/src/serve/web.o
TEST_LIB_OBJ := $(TEST_LIB_SRC:%.c=$(BUILD)/%.o)
TESTS := $(TEST_SRC:%.c=$(BUILD)/%)
SHARE := $(BUILD)/share/man/man1/vinci.1 $(BUILD)/share/bash-completion/completions/vinci \
	$(BUILD)/share/zsh/site-functions/_vinci $(BUILD)/share/fish/vendor_completions.d/vinci.fish

all: $(BUILD)/vinci $(BUILD)/libvinci.a $(BUILD)/$(SONAME) $(BUILD)/vinci.pc $(SHARE)

$(BUILD)/vinci: $(CLI_OBJ) $(BUILD)/internal.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(CLI_LDLIBS)

# For the program and the tests, which see below vinci.h.
$(BUILD)/internal.a: $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

# One object whose inner names are local, so that they cannot meet those of another program.
$(BUILD)/libvinci.a: $(LIB_OBJ)
	$(CC) -r -nostdlib -o $(BUILD)/libvinci.o $^
	$(OBJCOPY) --localize-hidden $(BUILD)/libvinci.o
	rm -f $@ && $(AR) rcs $@ $(BUILD)/libvinci.o

# Exactly the functions that vinci.h marks VINCI_API (the rest is hidden), under a version node.
$(BUILD)/$(SONAME): $(LIB_OBJ) src/vinci.map
	$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/vinci.map \
		$(if $(SAN),,-Wl,--no-undefined) -o $@ $(LIB_OBJ) $(LDLIBS)

# Written anew each time: `make install` may have another PREFIX.
$(BUILD)/vinci.pc: always
	@mkdir -p $(@D)
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$${prefix}/include' '' \
		'Name: vinci' 'Description: runs gpt-oss models on CPUs' \
		'Version: $(VERSION)' 'Requires.private: $(PACKAGES)' 'Libs: -L$${libdir} -lvinci' \
		'Libs.private: -pthread -lm' 'Cflags: -I$${includedir}' >$@

# The option tables inside the program are the only source of the manual and the completions.
$(BUILD)/share/man/man1/vinci.1: HELP := --man
$(BUILD)/share/bash-completion/completions/vinci: HELP := --completions bash
$(BUILD)/share/zsh/site-functions/_vinci: HELP := --completions zsh
$(BUILD)/share/fish/vendor_completions.d/vinci.fish: HELP := --completions fish
$(SHARE): $(BUILD)/vinci
	@mkdir -p $(@D)
	$(RUN) $(BUILD)/vinci help --lang en $(HELP) >$@.part && mv $@.part $@

# One instruction set, one file, its own flags; the rest of the program is baseline.
ifeq ($(ARCH),x86_64)
$(BUILD)/src/device/cpu/kernels_avx2.o: override CFLAGS += -mavx2 -mfma -mf16c
$(BUILD)/src/device/cpu/kernels_avxvnni.o: override CFLAGS += -mavx2 -mfma -mf16c -mavxvnni
AVX512_FLAGS := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni \
	-mavx512vbmi -mtune=icelake-server -fno-tree-vectorize
$(BUILD)/src/device/cpu/kernels_avx512.o: override CFLAGS += $(AVX512_FLAGS)
$(BUILD)/src/device/cpu/kernels_avx512_%.o: override CFLAGS += $(AVX512_FLAGS)
$(BUILD)/src/bench/limits_avx2.o: override CFLAGS += -mavx2 -mfma
$(BUILD)/src/bench/limits_avxvnni.o: override CFLAGS += -mavx2 -mavxvnni
$(BUILD)/src/bench/limits_avx512.o: override CFLAGS += -mavx512f -mavx512vnni
else ifeq ($(ARCH),aarch64)
NEON_FLAGS := -march=armv8.2-a+dotprod -mtune=cortex-a76
$(BUILD)/src/device/cpu/kernels_neon.o: override CFLAGS += $(NEON_FLAGS)
$(BUILD)/src/device/cpu/kernels_neon_%.o: override CFLAGS += $(NEON_FLAGS)
$(BUILD)/src/bench/limits_neon.o: override CFLAGS += $(NEON_FLAGS)
endif

# What reads files is also checked for conversions that lose values.
$(BUILD)/src/model/%.o $(BUILD)/src/text/%.o $(BUILD)/src/serve/%.o $(BUILD)/src/base/gguf_file.o: override CFLAGS += -Wconversion

$(BUILD)/src/cli/chat_%.o: override CPPFLAGS += \
	$(shell $(PKG_CONFIG) --cflags $(CLI_PACKAGES)) $(if $(MD4C),-DHAVE_MD4C)

ifneq ($(RSVG),)
$(BUILD)/src/bench/report_png.o: override CPPFLAGS += $(shell $(PKG_CONFIG) --cflags $(RSVG)) -DHAVE_RSVG
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/po/%.o: $(BUILD)/po/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/po/%.c: po/%.po tools/po-to-c src/cli/lang.h
	@mkdir -p $(@D)
	sh tools/po-to-c $* $< >$@.part && mv $@.part $@

# The page of `vinci serve`, with what the distribution has of its libraries.
$(BUILD)/src/serve/web.o: $(BUILD)/src/serve/web.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
WEB_TO_C := $(if $(filter-out undefined,$(origin WEB_LIBRARIES)),WEB_LIBRARIES='$(WEB_LIBRARIES)') \
	sh tools/web-to-c
$(BUILD)/src/serve/web.c: tools/web-to-c src/serve/assets.h $(shell $(WEB_TO_C) --inputs)
	@mkdir -p $(@D)
	$(WEB_TO_C) $(@D)/web >$@.part && mv $@.part $@

# tests/<layer>/test_<name>.c: one cmocka program each, linked with the library and with what it
# uses of tests/*.c; those of the command line also with its parts. Allocations go by way of
# tests/alloc_fail.c, which can make them fail. tests/<layer>/test_<name>.sh need no building.
comma := ,
TEST_LDFLAGS := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc posix_memalign)
LINK_TEST = $(CC) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS) -lcmocka
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST)
$(BUILD)/tests/cli/%: $(BUILD)/tests/cli/%.o $(filter-out %/main.o,$(CLI_OBJ)) \
		$(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST) $(CLI_LDLIBS)
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(filter-out %/main.o,$(CLI_OBJ)) \
		$(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST) $(CLI_LDLIBS)
$(BUILD)/tests/serve/test_%: $(BUILD)/tests/serve/test_%.o $(BUILD)/tests/serve/request_case.o \
		$(filter-out %/main.o,$(CLI_OBJ)) $(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST) $(CLI_LDLIBS)
# A hub on this machine, for those.
$(BUILD)/tests/hub/%: $(BUILD)/tests/hub/%.o $(filter-out %/main.o,$(CLI_OBJ)) \
		$(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST) $(CLI_LDLIBS)
$(BUILD)/tests/libtests.a: $(TEST_LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/tests/%.o: override CFLAGS += -Itests -DTEST_VECTORS='"$(CURDIR)/tests/vectors"' \
	-DTEST_SHARED='"$(SHARED)"'

# The simulator of CANN (tests/npu_sim/sim.h): `ASCEND_HOME_PATH=build/npu_sim` finds it as it finds
# CANN. One library holds the code; those with CANN's names hold names only.
NPU_SIM := $(BUILD)/npu_sim/$(ARCH)-linux/lib64
NPU_SIM_NAMES := ascendcl acl_rt nnopbase opapi opapi_math opapi_nn opapi_transformer dcmi
NPU_SIM_LIBS := $(NPU_SIM_NAMES:%=$(NPU_SIM)/lib%.so)
NPU_SIM_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/exports.c,$(wildcard tests/npu_sim/*.c)))
$(BUILD)/tests/npu_sim/%.o: override CFLAGS += -O3
$(NPU_SIM)/libnpu_sim.so: $(NPU_SIM_OBJ)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -shared -Wl,-soname,libnpu_sim.so,-Bsymbolic,-z,nodelete -o $@ $^ -pthread -lm
	ln -sfn $(ARCH)-linux/lib64 $(BUILD)/npu_sim/lib64
$(NPU_SIM)/lib%.so: $(BUILD)/tests/npu_sim/exports_%.o $(NPU_SIM)/libnpu_sim.so
	$(CC) $(LDFLAGS) -shared -Wl,-soname,lib$*.so,-rpath,'$$ORIGIN' -o $@ $< -L$(NPU_SIM) -lnpu_sim
$(NPU_SIM_NAMES:%=$(BUILD)/tests/npu_sim/exports_%.o): $(BUILD)/tests/npu_sim/exports_%.o: \
		tests/npu_sim/exports.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -DLIBRARY_$* -c -o $@ $<
npu_sim: $(NPU_SIM_LIBS)

tests: $(TESTS) all npu_sim

test: tests
	@BUILD='$(BUILD)' CC='$(CC)' SAN='$(SAN)' RUN='$(RUN)' MAKE='$(MAKE)' sh tests/run $(CHOICE)

# The same tests for another processor, under an emulator. Wants gcc-aarch64-linux-gnu and qemu-user;
# the libraries come into a folder of the build, the system is not changed (Debian).
ARM := $(BUILD)-aarch64
ARM_ROOT := $(CURDIR)/$(ARM)/sysroot
aarch64:
	sh tools/aarch64-sysroot $(ARM)/sysroot
	$(MAKE) BUILD=$(ARM) CC='aarch64-linux-gnu-gcc --sysroot=$(ARM_ROOT)' \
		AR=aarch64-linux-gnu-ar OBJCOPY=aarch64-linux-gnu-objcopy \
		PKG_CONFIG='env PKG_CONFIG_LIBDIR=$(ARM_ROOT)/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config' \
		RUN='qemu-aarch64 -L $(ARM_ROOT)' test

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(PREFIX)/share/doc/vinci
	install $(BUILD)/vinci $(DESTDIR)$(PREFIX)/bin/
	install -m 644 include/vinci.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/libvinci.a $(DESTDIR)$(LIBDIR)/
	install $(BUILD)/$(SONAME) $(DESTDIR)$(LIBDIR)/libvinci.so.$(VERSION)
	ln -sf libvinci.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libvinci.so
	install -m 644 $(BUILD)/vinci.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	install -m 644 README.md README.zh-CN.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/vinci/
	install -d $(DESTDIR)$(PREFIX)/share/vinci/nano
	install -m 644 models/nano/* $(DESTDIR)$(PREFIX)/share/vinci/nano/
	for file in $(SHARE:$(BUILD)/%=%); do \
		install -D -m 644 $(BUILD)/$$file $(DESTDIR)$(PREFIX)/$$file || exit 1; \
	done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/vinci $(DESTDIR)$(PREFIX)/include/vinci.h \
		$(DESTDIR)$(LIBDIR)/libvinci.* $(DESTDIR)$(LIBDIR)/pkgconfig/vinci.pc \
		$(SHARE:$(BUILD)/%=$(DESTDIR)$(PREFIX)/%)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/vinci $(DESTDIR)$(PREFIX)/share/vinci

# Every text of the source into po/zh_CN.po; what is new there has no translation yet. Wants gettext.
XGETTEXT := xgettext --language=C --from-code=UTF-8 --omit-header --no-wrap --add-location=file \
	-k -k_ -kN_ -kfail:3 -kfail_memory:3 -kfail_errno:4 -klog_message:3 -kfail_form:2
pot:
	@mkdir -p $(BUILD)/po
	LC_ALL=C find include src -name '*.[ch]' | sort | $(XGETTEXT) -f - -o $(BUILD)/po/vinci.pot
	$(XGETTEXT) -j -kX:3 include/vinci.h -o $(BUILD)/po/vinci.pot # the list of statuses
po: pot
	msguniq --use-first --no-wrap --add-location=file -o po/zh_CN.po po/zh_CN.po # after a merge
	msgmerge --quiet --update --backup=none --no-fuzzy-matching --no-wrap --add-location=file \
		po/zh_CN.po $(BUILD)/po/vinci.pot
	msgattrib --no-obsolete --no-wrap --add-location=file -o po/zh_CN.po po/zh_CN.po

format:
	find include src tests examples -name '*.[ch]' -exec clang-format -i {} +

# `make fuzz CC=clang`: libFuzzer programs in $(BUILD)-fuzz, with sanitizers; not part of `make test`.
#   build-fuzz/tests/fuzz/fuzz_model -max_len=200000 CORPUS tests/vectors/bad/good/gguf
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST) -fsanitize=fuzzer
$(BUILD)/tests/fuzz/fuzz_request: $(BUILD)/tests/fuzz/fuzz_request.o \
		$(BUILD)/tests/serve/request_case.o $(filter $(BUILD)/src/serve/%,$(CLI_OBJ)) \
		$(BUILD)/tests/libtests.a $(BUILD)/internal.a
	$(LINK_TEST) $(CLI_LDLIBS) -fsanitize=fuzzer
fuzzers: $(BUILD)/tests/libtests.a $(FUZZERS)
fuzz:
	$(MAKE) BUILD=$(BUILD)-fuzz SAN=fuzzer-no-link$(comma)address$(comma)undefined fuzzers

clean:
	rm -rf $(BUILD)

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile
	@echo 'make            the program, libvinci.a, libvinci.so, manual and completions'
	@echo 'make test       builds and runs all tests'
	@echo 'make fuzz       libFuzzer programs (CC=clang)'
	@echo 'make aarch64    the tests for aarch64, under qemu-user'
	@echo 'make po         brings po/zh_CN.po up to date (gettext)'
	@echo 'make install    make uninstall    make format    make clean'

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:=.d) $(TEST_LIB_OBJ:.o=.d) $(NPU_SIM_OBJ:.o=.d) \
	$(NPU_SIM_NAMES:%=$(BUILD)/tests/npu_sim/exports_%.d)

.PHONY: pot po always all tests npu_sim test aarch64 install uninstall format fuzz fuzzers clean help
.SECONDARY:
