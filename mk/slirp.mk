# SPDX-License-Identifier: Apache-2.0
# toyvmm-slirp, the helper for user networking: a dynamically linked program of its own, carried inside of toyvmm
# (docs/net.md, "Why a helper process").

SLIRP_ELF := $(BUILD)/toyvmm-slirp
CPPFLAGS  += -DSLIRP_ELF='"$(SLIRP_ELF)"'

# Not by pkg-config: slirp.pc asks for glib's development files, which libslirp.h does not need.
$(SLIRP_ELF): helpers/slirp.c Makefile mk/slirp.mk | $(BUILD)/deps-build.ok
	mkdir -p $(@D)
	$(SAY) LINK $@
	$(CC) -D_GNU_SOURCE $(CSTD) $(WARN) $(HARDEN) -O2 -s -pie -Wl,-z,relro,-z,now,--as-needed \
		-o $@ $< -lslirp

# The compiler does not see what .incbin reads.
$(BUILD)/obj/src/backend/slirp_elf.o $(BUILD)/san/src/backend/slirp_elf.o $(BUILD)/fuzz/src/backend/slirp_elf.o: $(SLIRP_ELF)
