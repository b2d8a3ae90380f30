/* SPDX-License-Identifier: Apache-2.0 */
/* What `toyvmm` prints about itself, made from the table of options (config/options.h). */
#pragma once

#include <stdio.h>

void help_short(FILE *f); /* how to get further; for a bare `toyvmm` */
void help_toyvmm(FILE *f);
void help_run(FILE *f);
void help_check(FILE *f);
void help_vfio(FILE *f);
