/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ways into a guest: the Linux 64-bit boot protocol (start64, RSI = boot_params) and PVH (start32,
 * EBX = hvm_start_info), which makes its own page tables and joins the other.
 */
	.section .text.start, "ax"
	.code64
	.globl	start64
start64:
	cli
	lea	stack_top(%rip), %rsp
	mov	%rsi, %rdi		/* boot_params */
	xor	%esi, %esi		/* hvm_start_info: none */
	call	guest_main
	call	guest_poweroff
1:	hlt
	jmp	1b

	.code32
	.globl	start32
start32:
	cli
	mov	$stack_top, %esp
	movl	%ebx, pvh_info
	movl	$pdpt + 3, pml4		/* 4 GiB one to one, 1 PDPT entry for each GiB of 2 MiB pages */
	mov	$pd, %eax
	or	$3, %eax
	mov	$pdpt, %edi
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$4096, %eax
	loop	1b
	mov	$0x83, %eax
	mov	$pd, %edi
	mov	$2048, %ecx
2:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	2b
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax	/* PG */
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$8, $3f
	.code64
3:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%edi, %edi
	mov	pvh_info(%rip), %esi
	call	guest_main
	call	guest_poweroff
4:	hlt
	jmp	4b

/* Interrupt entry points: 256 stubs of 16 bytes that push a vector number. */
	.globl	vector_stubs
	.balign	16
vector_stubs:
	vector = 0
	.rept	256
	.balign	16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
	push	$0			/* no error code: make the frame the same */
	.endif
	push	$vector
	jmp	vector_common
	vector = vector + 1
	.endr

vector_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	72(%rsp), %rdi		/* vector */
	mov	80(%rsp), %rsi		/* error code */
	mov	88(%rsp), %rdx		/* RIP */
	cld
	call	guest_interrupt
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/*
 * Where another processor starts: copied to AP_START (lib_smp.c), it begins there in real mode and goes to long mode
 * with the first one's page tables.
 */
#define AP_START	0x8000
#define AT(label)	(label - ap_start)
	.globl	ap_start, ap_start_end, ap_cr3, ap_stack, ap_entry
	.code16
ap_start:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	mov	AT(ap_cr3), %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	lgdtl	AT(ap_gdt)
	mov	%cr0, %eax
	or	$0x80000001, %eax	/* PG, PE */
	mov	%eax, %cr0
	ljmpl	$8, $(AP_START + AT(1f))
	.code64
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	ap_stack(%rip), %rsp
	call	*ap_entry(%rip)
2:	hlt
	jmp	2b
	.balign	8
ap_cr3:	.quad	0
ap_stack:
	.quad	0
ap_entry:
	.quad	0
ap_gdt:	.word	gdt_pointer - gdt - 1
	.long	gdt
ap_start_end:

	.globl	gdt_pointer
	.balign	8
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.long	0

	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* name size, desc size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start32

	.bss
	.balign	4096
	.globl	pml4
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4 * 4096
	.skip	16384
stack_top:
pvh_info:
	.skip	8
	.section .note.GNU-stack, "", @progbits
