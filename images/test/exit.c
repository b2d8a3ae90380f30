// SPDX-License-Identifier: Apache-2.0
//
// A first process that ends the machine with its first instructions: rdinit=/test/exit measures a boot and nothing
// else. /test/poweroff, the same program, goes the way of the system call instead. No libc: nothing runs before it.

#include <sys/syscall.h>

enum {
	REBOOT_MAGIC1 = 0xfee1dead,
	REBOOT_MAGIC2 = 672274793,
	REBOOT_RESTART = 0x1234567,
	REBOOT_POWER_OFF = 0x4321fedc
};

static long syscall4(long number, unsigned long a, unsigned long b, unsigned long c,
		     unsigned long d)
{
	long result;
	register unsigned long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static int ends_with_poweroff(const char *path)
{
	const char *name = path;

	for (const char *at = path; *at; at++)
		if (*at == '/')
			name = at + 1;
	return name[0] == 'p';
}

__attribute__((used, noreturn)) static void run(const unsigned long *stack)
{
	int power_off = ends_with_poweroff((const char *)stack[1]); // argv[0]

	if (!power_off && syscall4(SYS_iopl, 3, 0, 0, 0) == 0)
		__asm__ volatile("outb %0, %1"
				 :
				 : "a"((unsigned char)0xfe),
				   "Nd"((unsigned short)0x64)); // i8042: reset
	syscall4(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2,
		 power_off ? REBOOT_POWER_OFF : REBOOT_RESTART, 0);
	for (;;)
		;
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
