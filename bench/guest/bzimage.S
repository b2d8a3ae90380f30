/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c as a bzImage: the header of the Linux boot protocol 2.12 (Documentation/arch/x86/boot.rst) and three ways in,
 * each with the same port writes. A loader of the 64-bit protocol enters at 0x200 of the kernel proper, one of the
 * 32-bit protocol at its begin, one that starts in real mode at 0x200 of the file.
 */
	.macro	life
	mov	$0x3f8, %dx
	mov	$1, %al
	out	%al, %dx
	xor	%al, %al
	out	%al, $0xf4		/* QEMU's isa-debug-exit */
	mov	$0x604, %dx
	mov	$0x3400, %ax
	out	%ax, %dx		/* toyvmm's ACPI power switch */
	mov	$0x600, %dx
	mov	$0x34, %al
	out	%al, %dx		/* Cloud Hypervisor's */
	mov	$0xfe, %al
	out	%al, $0x64		/* the keyboard controller's reset */
1:	hlt
	jmp	1b
	.endm

	.code16
	.text
	.org	0x1f1
	.byte	1
	.word	1			/* root_flags */
	.long	(kernel_end - kernel) / 16
	.word	0, 0xffff, 0		/* ram_size, vid_mode, root_dev */
	.word	0xaa55
	.byte	0xeb, real_mode - 1f	/* at 0x200: jump */
1:	.ascii	"HdrS"
	.word	0x020c			/* version */
	.long	0			/* realmode_swtch */
	.word	0			/* start_sys_seg */
	.word	0			/* kernel_version */
	.byte	0, 1			/* type_of_loader; LOADED_HIGH */
	.word	0			/* setup_move_size */
	.long	0x100000		/* code32_start */
	.long	0, 0			/* ramdisk_image, ramdisk_size */
	.long	0			/* bootsect_kludge */
	.word	0			/* heap_end_ptr */
	.byte	0, 0			/* ext_loader_ver, ext_loader_type */
	.long	0			/* cmd_line_ptr */
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x1000			/* kernel_alignment */
	.byte	0, 12			/* not relocatable; min_alignment */
	.word	1			/* XLF_KERNEL_64 */
	.long	2047			/* cmdline_size */
	.long	0			/* hardware_subarch */
	.quad	0			/* hardware_subarch_data */
	.long	0, 0			/* payload_offset, payload_length */
	.quad	0			/* setup_data */
	.quad	0x100000		/* pref_address */
	.long	0x100000		/* init_size */
	.long	0			/* handover_offset */
real_mode:
	life
	.org	0x400
kernel:	.code32
	life
	.org	0x600
	.code64
	life
	.balign	16
kernel_end:
	.section .note.GNU-stack, "", @progbits
