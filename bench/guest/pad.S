/* SPDX-License-Identifier: Apache-2.0 */
/* PAD MiB more of a kernel to load. */
	.section .data.pad, "awR"
	.fill	PAD << 17, 8, 0x0101010101010101
	.section .note.GNU-stack, "", @progbits
