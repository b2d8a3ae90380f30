/* SPDX-License-Identifier: Apache-2.0 */
/* The program helpers/slirp.c, built, as bytes of this one (slirp_elf.c). */
#pragma once

#include "base/base.h"

extern const uint8_t slirp_elf[], slirp_elf_end[];
