# SPDX-License-Identifier: Apache-2.0
# `make run_linux` boots Linux to a login prompt; `make test` runs every test; `make help` lists the rest.

BUILD  ?= build
CC     ?= cc
LIBS   := libzstd liblz4 liblzma zlib jansson liburing
PKG        := pkg-config --static
PKG_SHARED := pkg-config
# No pkg-config file in Debian: libbz2.
EXTRA_LIBS := -lbz2
# liblzo2 is GPL-2.0-or-later: a program linked with it is distributed under those terms. LZO= leaves it out.
LZO ?= $(shell $(PKG) --exists lzo2 && echo 1)
ifeq ($(LZO),1)
LIBS += lzo2
CPPFLAGS += -DHAVE_LZO2
endif

# Everything in src/ is the program; nothing is listed by hand.
SRC    := $(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c))
ROOMS  := $(filter-out src/main.c,$(SRC))
ASL    := $(wildcard src/boot/*.asl)
AML    := $(ASL:src/%.asl=$(BUILD)/gen/%.h)

WARN   := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wimplicit-fallthrough -Wvla \
	  -Wpointer-arith -Wwrite-strings -Wundef -Werror
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(BUILD)/gen -DTOYVMM_VERSION='"$(VERSION)"'
CFLAGS ?= -O2 -g
CSTD   := -std=gnu11 -pthread -fno-strict-aliasing
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
# Static: no dynamic linker at start-up, and only the pages in use of each library (docs/performance.md).
LINK   := -static-pie -Wl,-z,relro,-z,now -Wl,-T,mk/libc-order.ld
VERSION := $(shell cat VERSION)

# One short line a step; make V=1 shows the commands.
ifeq ($(V),)
.SILENT:
SAY = printf '  %-5s %s\n'
else
SAY = :
endif

include mk/deps.mk mk/slirp.mk
include mk/images.mk mk/lab.mk mk/test.mk mk/bench.mk

.DEFAULT_GOAL := all
.PHONY: all clean help
all: $(BUILD)/toyvmm

help:
	sed -n 's/^## //p' Makefile mk/*.mk

OBJ := $(SRC:%.c=$(BUILD)/obj/%.o)
$(BUILD)/toyvmm: $(OBJ) mk/libc-order.ld
	$(SAY) LINK $@
	$(CC) $(CFLAGS) -pthread $(LINK) -o $@ $(OBJ) $(shell $(PKG) --libs $(LIBS)) $(EXTRA_LIBS)

$(BUILD)/obj/%.o: %.c $(AML) Makefile | $(BUILD)/deps-build.ok
	mkdir -p $(@D)
	$(SAY) CC $<
	$(CC) $(CPPFLAGS) $(CSTD) $(WARN) $(HARDEN) $(CFLAGS) -MMD -MP -c -o $@ $<

.SECONDARY: $(AML)
# ACPI source language to a C array.
$(BUILD)/gen/%.h: src/%.asl | $(BUILD)/deps-build.ok
	mkdir -p $(@D)
	$(SAY) ASL $<
	iasl -va -vs -tc -p $(@:.h=) $< >$(@:.h=.log) || { cat $(@:.h=.log); exit 1; }
	mv $(@:.h=.hex) $@

-include $(OBJ:.o=.d)

## make clean       remove what was built (images and the lab's machines too, but not run_disk's disk)
clean:
	[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name disk -exec rm -rf {} +
