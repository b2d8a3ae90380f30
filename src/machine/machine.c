// SPDX-License-Identifier: Apache-2.0
#include "machine/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/cpuid.h"
#include "arch/x86/start.h"
#include "backend/terminal.h"
#include "machine/board.h"
#include "machine/guest.h"
#include "machine/report.h"
#include "machine/run.h"
#include "machine/signals.h"
#include "machine/wiring.h"

static void on_panicked(void *arg)
{
	machine_stop(arg, OUTCOME_PANICKED);
}

static int create_ram(struct machine *m, struct err *e)
{
	int rc = gmem_create(&m->ram, m->config->memory, config_needs_shared_memory(m->config), e);

	for (unsigned i = 0; i < m->ram.n && rc == 0; i++) {
		const struct gmem_region *r = &m->ram.region[i];
		rc = kvm_map_memory(&m->kvm, i, r->base, r->len, r->host, e);
	}
	return rc < 0 ? rc : report_arm(&m->ram, e);
}

static int check_limits(struct machine *m, const struct kvm_cpuid2 *cpuid, struct err *e)
{
	unsigned bits = m->address_bits = cpuid_address_bits(cpuid);
	int max = kvm_extension(&m->kvm, KVM_CAP_MAX_VCPUS);

	if (max == 0) /* api.rst, 4.4: then the recommended number is the limit */
		max = kvm_extension(&m->kvm, KVM_CAP_NR_VCPUS);
	if ((int)m->n_vcpus > max)
		return err_set(e, EINVAL, "--cpus %u: this host's KVM allows at most %d",
			       m->n_vcpus, max);
	if (bits < 64 && gmem_end(&m->ram) > 1ULL << bits)
		return err_set(
			e, EINVAL,
			"--memory %llu MiB: this host's CPU has %u address bits, enough for %llu GiB",
			gmem_size(&m->ram) / MIB, bits, (1ULL << bits) / GIB);
	return 0;
}

static int create_vcpus(struct machine *m, struct err *e)
{
	bool tsc_deadline = kvm_extension(&m->kvm, KVM_CAP_TSC_DEADLINE_TIMER);
	struct kvm_cpuid2 *supported, *cpuid = NULL;
	int rc = kvm_supported_cpuid(&m->kvm, &supported, e);

	if (rc < 0)
		return rc;
	cpuid = cpuid_create(supported);
	m->n_vcpus = m->config->cpus;
	m->vcpu = calloc(m->n_vcpus, sizeof(*m->vcpu));
	rc = cpuid && m->vcpu ? check_limits(m, cpuid, e)
			      : err_set(e, ENOMEM, "vCPUs: out of memory");
	for (unsigned i = 0; m->vcpu && i < m->n_vcpus; i++)
		m->vcpu[i] = (struct machine_vcpu){.vcpu = VCPU_CLOSED, .machine = m};
	for (unsigned i = 0; i < m->n_vcpus && rc == 0; i++) {
		struct vcpu *v = &m->vcpu[i].vcpu;
		cpuid_adjust(cpuid, i, m->n_vcpus, tsc_deadline);
		if ((rc = vcpu_open(v, &m->kvm, i, e)) == 0 &&
		    (rc = vcpu_set_cpuid(v, cpuid, e)) == 0)
			rc = start_set_msrs(v, e);
	}
	free(cpuid);
	free(supported);
	return rc;
}

static int load_guest(struct machine *m, struct err *e)
{
	guest_describe(m);
	return guest_load(m, e);
}

static int take_terminal(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	bool taken = c->serial.kind == SERIAL_STDIO;

	for (unsigned i = 0; i < c->n_consoles; i++)
		taken |= c->console[i].kind == CONSOLE_STDIO;
	return taken ? terminal_raw(e) : 0;
}

int machine_create(struct machine *m, const struct vm_config *config, struct err *e)
{
	int rc;

	m->config = config;
	m->kvm = KVM_CLOSED;
	m->ram = GMEM_EMPTY;
	m->loop = LOOP_EMPTY;
	m->doctor = DOCTOR_EMPTY;
	m->signals.fd = m->vfio_in_kvm = -1;
	m->board.irq_keyboard.fd = m->board.irq_serial0.fd = m->board.irq_rtc.fd =
		m->board.irq_sci.fd = -1;
	atomic_store(&m->outcome, OUTCOME_RUNNING);
	bus_init(&m->pio, "I/O ports");
	bus_init(&m->mmio, "MMIO");
	if ((rc = loop_init(&m->loop, e)) < 0 || (rc = kvm_open(&m->kvm, e)) < 0 ||
	    (rc = create_ram(m, e)) < 0 || (rc = kvm_create_irqchip(&m->kvm, e)) < 0 ||
	    (rc = create_vcpus(m, e)) < 0 || (rc = load_guest(m, e)) < 0 ||
	    (rc = doctor_init(&m->doctor, &m->loop, guest_cmdline(m), on_panicked, m, e)) < 0 ||
	    (rc = wiring_init(m, e)) < 0 || (rc = signals_watch(m, e)) < 0 ||
	    (rc = board_create(m, e)) < 0 || (rc = take_terminal(m, e)) < 0)
		machine_destroy(m);
	return rc;
}

int machine_run(struct machine *m, struct err *e)
{
	int rc = run_start(m, e);

	if (rc == 0 && (rc = loop_run(&m->loop)) < 0)
		err_set(e, -rc, "event loop: %s", strerror(-rc));
	run_join(m);
	return rc < 0 ? rc : atomic_load(&m->outcome);
}

bool machine_stop(struct machine *m, enum outcome outcome)
{
	int running = OUTCOME_RUNNING;

	if (!atomic_compare_exchange_strong(&m->outcome, &running, outcome))
		return false;
	atomic_store(&m->stopping, true);
	loop_stop(&m->loop);
	return true;
}

void machine_guest_reset(struct machine *m)
{
	bool panicked = atomic_load(&m->panicked) || doctor_saw_panic(&m->doctor);

	machine_stop(m, panicked ? OUTCOME_PANICKED : OUTCOME_ENDED);
}

void machine_destroy(struct machine *m)
{
	board_destroy(m);
	doctor_fini(&m->doctor);
	signals_unwatch(m);
	for (unsigned i = 0; m->vcpu && i < m->n_vcpus; i++)
		vcpu_close(&m->vcpu[i].vcpu);
	free(m->vcpu);
	m->vcpu = NULL;
	routes_destroy(m->routes);
	kvm_close(&m->kvm);
	gmem_destroy(&m->ram);
	loop_fini(&m->loop);
	bus_fini(&m->mmio);
	bus_fini(&m->pio);
	terminal_restore();
}
