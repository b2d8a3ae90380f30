/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the two transports share. A driver does the same on both, only the registers lie elsewhere and
 * interrupts come in another way: a struct port is that difference, and each case in transport.c is run on
 * every port. The echo device stands behind them; KVM's part, doorbells and interrupts, is played.
 */
#pragma once

#include "../test.h"

#include "bus/bus.h"
#include "fake/driver.h"
#include "fake/echo.h"
#include "fake/vhost.h"
#include "virtio/virtio.h"

enum reg {
	DEVICE_FEATURES_SEL,
	DEVICE_FEATURES,
	DRIVER_FEATURES_SEL,
	DRIVER_FEATURES,
	STATUS,
	GENERATION,
	QUEUE_SEL,
	QUEUE_MAX,  /* read */
	QUEUE_SIZE, /* write */
	QUEUE_ENABLE,
	DESC_LO,
	DESC_HI,
	DRIVER_LO,
	DRIVER_HI,
	DEVICE_LO,
	DEVICE_HI,
	N_REGS
};

#define IRQ_QUEUE  1 /* the same bits in both transports' status registers */
#define IRQ_CONFIG 2

#define RIG_DOORBELLS 8

struct rig;

struct port {
	struct {
		uint16_t off; /* from rig.regs on */
		uint8_t len;
	} reg[N_REGS];
	/* Creates the transport, finds it as a driver does, and fills in rig.regs, .config, .len. */
	void (*start)(struct rig *r);
	void (*stop)(struct rig *r);
	/* Optional: the driver chooses its interrupts, between FEATURES_OK and the queues. */
	void (*choose_interrupts)(struct rig *r);
	/* What the driver's interrupt handler finds, and acknowledges: IRQ_..., 0: there was no interrupt. */
	unsigned (*take_interrupts)(struct rig *r);
	/* Where and how wide the doorbell of a queue is written. */
	uint64_t (*doorbell)(struct rig *r, unsigned queue, unsigned *len);
};

struct rig {
	const struct port *port;
	struct fake_driver f;
	struct echo *echo;       /* NULL: rig_start_vhost() */
	struct fake_vhost *back; /* who is told where the queues are, then */
	struct bus mmio;
	uint64_t base, len;    /* all that the transport answers to */
	uint64_t regs, config; /* where the registers and the device's configuration are */
	void *transport;       /* the port's own */
	struct {
		uint64_t addr;
		struct bus_doorbell bell;
	} doorbell[RIG_DOORBELLS]; /* what KVM was asked for */
	unsigned n_doorbells;
};

void rig_start(struct rig *r, const struct port *port);
/* The same with a device whose queues are served elsewhere. */
void rig_start_vhost(struct rig *r, const struct port *port);
void rig_stop(struct rig *r);

uint32_t rig_read(struct rig *r, enum reg reg);
void rig_write(struct rig *r, enum reg reg, uint32_t value);
/* From ACKNOWLEDGE to FEATURES_OK, which is returned: whether the device agreed. */
bool rig_negotiate(struct rig *r, uint64_t features);
/* Rings in guest memory, and a queue's registers, but for QUEUE_ENABLE. */
void rig_set_up_queue(struct rig *r, unsigned queue);
/* All of it, to DRIVER_OK. */
void rig_bring_up(struct rig *r);
/* The driver's write to a doorbell: as an exit, or as KVM takes it (fails where no doorbell matches). */
void rig_kick_by_exit(struct rig *r, unsigned queue);
void rig_kick_by_eventfd(struct rig *r, unsigned queue);
/* The loop serves all that is there to be served. */
void rig_turn(struct rig *r);
/* A message goes out and comes back, by a queue; kicked as said; with an interrupt. */
void rig_check_echo(struct rig *r, unsigned queue, void (*kick)(struct rig *r, unsigned queue));

#define TRANSPORT_CASES(X)                                \
	X(driver_negotiates_features)                     \
	X(features_not_offered_are_refused)               \
	X(features_are_final_with_features_ok)            \
	X(queues_read_back_as_set_up)                     \
	X(queue_that_there_is_not_reads_zero)             \
	X(bad_queue_stays_disabled)                       \
	X(registers_of_an_enabled_queue_are_inert)        \
	X(queue_can_be_disabled_before_driver_ok_only)    \
	X(kick_by_exit_is_served)                         \
	X(kick_by_eventfd_is_served)                      \
	X(kick_before_driver_ok_is_served_afterwards)     \
	X(doorbells_come_and_go_with_the_registers)       \
	X(each_interrupt_comes_once)                      \
	X(config_reads_in_every_width)                    \
	X(config_is_written_inside_only)                  \
	X(config_change_interrupts_with_a_new_generation) \
	X(reset_takes_everything_back)                    \
	X(broken_ring_needs_reset)                        \
	X(every_offset_and_width_is_safe)                 \
	X(indexes_out_of_range_do_nothing)                \
	X(status_bits_cannot_be_taken_back)               \
	X(queues_served_elsewhere_ring_and_interrupt)

#define DECLARE_CASE(name) void case_##name(const struct port *port);
TRANSPORT_CASES(DECLARE_CASE)
