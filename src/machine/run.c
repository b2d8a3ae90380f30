// SPDX-License-Identifier: Apache-2.0
#include "machine/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "machine/report.h"
#include "machine/signals.h"

/* Interrupts KVM_RUN; the handler does nothing. */
#define KICK_SIGNAL SIGUSR1

/* glibc's default of 8 MiB address space each would do no harm; this is what the loop needs. */
#define VCPU_STACK (128 * KIB)

/* String instructions (REP INS/OUTS) bring `count` items at once: the data advances, not the port. */
static void serve_io(struct machine *m, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(&m->pio, run->io.port, data, run->io.size);
		else
			bus_read(&m->pio, run->io.port, data, run->io.size);
	}
}

static void serve_mmio(struct machine *m, struct kvm_run *run)
{
	if (run->mmio.is_write)
		bus_write(&m->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_read(&m->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static void serve_failure(struct machine *m, struct vcpu *v, const char *why)
{
	if (machine_stop(m, OUTCOME_CRASHED))
		report_crash(v, m->config->kernel, &m->ram, why);
}

/* A triple fault. A KVM without hardware virtualization says instead that it cannot emulate the fault. */
static void serve_shutdown(struct machine *m, struct vcpu *v, const char *why)
{
	if (report_is_deliberate_reset(v, &m->ram))
		machine_guest_reset(m);
	else
		serve_failure(m, v, why);
}

static void serve_exit(struct machine *m, struct vcpu *v)
{
	char why[96];

	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		serve_io(m, v->run);
		break;
	case KVM_EXIT_MMIO:
		serve_mmio(m, v->run);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_INTERNAL_ERROR:
		serve_shutdown(m, v, report_exit_reason(v->run, why, sizeof(why)));
		break;
	default:
		serve_failure(m, v, report_exit_reason(v->run, why, sizeof(why)));
	}
}

/*
 * EFAULT: there is nothing behind memory that the guest has touched, though it is mapped. RAM cannot get shorter
 * (mem/gmem.h); a file that a vfio-user server gave for its registers can. KVM does not say where it was, so that all
 * such memory is taken away for good, and the devices' functions are called instead: slower, but nothing can be missing
 * there. False: there is none, nor was there any when this vCPU entered the guest.
 */
static bool repair_memory(struct machine_vcpu *mv, bool again)
{
	unsigned n = bus_trap_memory(&mv->machine->mmio);

	if (n > 0)
		log_limited(&mv->memory_faults,
			    "memory that the guest has touched is not there: a device's, whose "
			    "server has made its file shorter? No device's memory is the guest's "
			    "any more");
	return n > 0 || !again;
}

static void serve_error(struct machine_vcpu *mv, int rc, bool again)
{
	char why[96];

	/* EAGAIN: an INIT or SIPI changed its state */
	if (rc == -EINTR || rc == -EAGAIN || (rc == -EFAULT && repair_memory(mv, again)))
		return;
	snprintf(why, sizeof(why), "KVM_RUN failed: %s", strerror(-rc));
	serve_failure(mv->machine, &mv->vcpu, why);
}

static void *vcpu_thread(void *arg)
{
	struct machine_vcpu *mv = arg;
	struct machine *m = mv->machine;
	int rc = 0, before;

	while (!atomic_load_explicit(&m->stopping, memory_order_relaxed)) {
		before = rc;
		rc = vcpu_run(&mv->vcpu);
		if (rc == 0)
			serve_exit(m, &mv->vcpu);
		else
			serve_error(mv, rc, before == -EFAULT);
	}
	return NULL;
}

static void on_kick(int signal)
{
	(void)signal;
}

static int start_thread(struct machine_vcpu *mv, struct err *e)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK);
	rc = pthread_create(&mv->thread, &attr, vcpu_thread, mv);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return err_set(e, rc, "vCPU %u: cannot start a thread: %s", mv->vcpu.id,
			       strerror(rc));
	mv->started = true;
	return 0;
}

int run_start(struct machine *m, struct err *e)
{
	struct sigaction kick = {.sa_handler = on_kick};
	sigset_t all, before;
	int rc = 0;

	sigaction(KICK_SIGNAL, &kick, NULL);
	signals_thread_mask(
		&all); /* inherited by the threads: signals are the loop thread's business */
	sigdelset(&all, KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < m->n_vcpus && rc == 0; i++)
		rc = start_thread(&m->vcpu[i], e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* One kick ends one system call: a thread may be inside another one than KVM_RUN, and then enter that. */
static void join(pthread_t thread)
{
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		if (pthread_timedjoin_np(thread, NULL, &until) != ETIMEDOUT)
			return;
		pthread_kill(thread, KICK_SIGNAL);
	}
}

void run_join(struct machine *m)
{
	atomic_store(&m->stopping, true);
	for (unsigned i = 0; i < m->n_vcpus; i++) {
		struct machine_vcpu *mv = &m->vcpu[i];
		if (!mv->started)
			continue;
		vcpu_kick(&mv->vcpu);
		pthread_kill(mv->thread, KICK_SIGNAL);
	}
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (m->vcpu[i].started)
			join(m->vcpu[i].thread);
}
