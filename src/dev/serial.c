// SPDX-License-Identifier: Apache-2.0
/* Section numbers are those of the PC16550D data sheet, chapter 8 (registers). */
#include "dev/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"

#define FIFO_SIZE     16
#define IIR_FIFO_BITS 0xc0 /* bits 6 and 7: FIFOs are on (8.6) */
#define TIMEOUT_MS    1    /* 4 characters take 0.35 ms at 115200 baud; this is the timer's grain */

/* Pending and enabled causes of an interrupt, in the order of their priority (8.6, table IV). */
enum { CAUSE_LINE = 1, CAUSE_DATA = 2, CAUSE_TIMEOUT = 4, CAUSE_THRE = 8, CAUSE_MODEM = 16 };

struct serial {
	pthread_mutex_t lock;
	const struct irq *irq;
	struct chardev *chardev;
	void (*tap)(void *arg, uint8_t byte);
	void *tap_arg;

	uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	uint8_t line_error; /* LSR's error bits, cleared by reading LSR */

	uint8_t rx[FIFO_SIZE]; /* with FIFOs off it holds one byte */
	unsigned rx_start, rx_count;
	bool rx_timeout; /* nothing came and nothing was read for a while */
	bool rx_refused; /* room() said 0: the chardev waits for chardev_resume_input() */
	bool polled; /* the driver reads LSR again and again: it waits for input without interrupts */
	bool lsr_last; /* the last access was a read of LSR */
	bool rts_used; /* RTS was on once: from then on it is flow control */

	bool thre_pending; /* transmitter became empty; IIR has not told yet */
	bool tx_held;      /* the reader is slow: THRE interrupts wait for drained() */

	unsigned causes;  /* as of the last serial_update() */
	bool iir_read;    /* ... since the last edge */
	bool acks_by_iir; /* IIR was read since the THRE interrupt was enabled */

	struct loop_source timer; /* character time-out after a partial read */
	bool timer_armed;
};

static bool fifo_on(const struct serial *s)
{
	return s->fcr & UART_FCR_ENABLE_FIFO;
}

static unsigned capacity(const struct serial *s)
{
	return fifo_on(s) ? FIFO_SIZE : 1;
}

/* ---- interrupts ---- */

static unsigned pending_causes(const struct serial *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};
	unsigned trigger = fifo_on(s) ? levels[s->fcr >> 6] : 1;
	unsigned causes = 0;

	if ((s->ier & UART_IER_RLSI) && s->line_error)
		causes |= CAUSE_LINE;
	if ((s->ier & UART_IER_RDI) && s->rx_count >= trigger)
		causes |= CAUSE_DATA;
	if ((s->ier & UART_IER_RDI) && fifo_on(s) && s->rx_count > 0 && s->rx_timeout)
		causes |= CAUSE_TIMEOUT;
	if ((s->ier & UART_IER_THRI) && s->thre_pending && !s->tx_held)
		causes |= CAUSE_THRE;
	if ((s->ier & UART_IER_MSI) && (s->msr & UART_MSR_ANY_DELTA))
		causes |= CAUSE_MODEM;
	return causes;
}

/* After every change of state. `again`: causes that went away and came back within this access. */
static void serial_update(struct serial *s, unsigned again)
{
	unsigned now = pending_causes(s);

	if (now & (~s->causes | again)) {
		s->iir_read = false;
		irq_raise(s->irq);
	}
	s->causes = now;
}

/* 8.6: naming the THRE interrupt ends it. */
static uint8_t read_iir(struct serial *s)
{
	uint8_t fifo_bits = fifo_on(s) ? IIR_FIFO_BITS : 0;
	uint8_t id = UART_IIR_NO_INT;

	if (s->causes & CAUSE_LINE)
		id = UART_IIR_RLSI;
	else if (s->causes & CAUSE_DATA)
		id = UART_IIR_RDI;
	else if (s->causes & CAUSE_TIMEOUT)
		id = UART_IIR_RX_TIMEOUT;
	else if (s->causes & CAUSE_THRE)
		id = UART_IIR_THRI;
	else if (s->causes & CAUSE_MODEM)
		id = UART_IIR_MSI;
	if (id == UART_IIR_THRI)
		s->thre_pending = false;
	s->iir_read = s->acks_by_iir = true;
	return id | fifo_bits;
}

/* ---- receiver ---- */

static void rx_clear(struct serial *s)
{
	s->rx_start = s->rx_count = 0;
}

/* 8.4, overrun: without FIFOs the new byte replaces the old, a full FIFO loses the new one. */
static void rx_put(struct serial *s, uint8_t byte)
{
	if (s->rx_count == capacity(s)) {
		s->line_error |= UART_LSR_OE;
		if (!fifo_on(s))
			s->rx[s->rx_start] = byte;
		return;
	}
	s->rx[(s->rx_start + s->rx_count++) % FIFO_SIZE] = byte;
}

/*
 * Does somebody listen? Input that comes while a kernel boots or a driver is closed would lie in the
 * FIFO until the next driver empties it, and be lost. So the line holds it back until the driver shows
 * that it wants it: by the received data interrupt, or by polling. 8.8: in loopback the receiver is cut
 * off; a driver that drops RTS cannot take more now (Linux with crtscts).
 */
static bool rx_wanted(const struct serial *s)
{
	if (s->mcr & UART_MCR_LOOP)
		return false;
	if (s->rts_used && !(s->mcr & UART_MCR_RTS))
		return false;
	return s->ier & UART_IER_RDI || s->polled;
}

/* Not for every byte: the host's side is woken when all that it gave has been read. */
static void rx_resume(struct serial *s)
{
	if (s->rx_refused && s->rx_count == 0 && rx_wanted(s)) {
		s->rx_refused = false;
		chardev_resume_input(s->chardev);
	}
}

static uint8_t read_rbr(struct serial *s)
{
	uint8_t byte;

	if (s->rx_count == 0)
		return 0;
	byte = s->rx[s->rx_start];
	s->rx_start = (s->rx_start + 1) % FIFO_SIZE;
	s->rx_count--;
	s->rx_timeout = false;
	if (s->rx_count > 0 && (s->ier & UART_IER_RDI) && !s->timer_armed)
		s->timer_armed = timer_arm(s->timer.fd, TIMEOUT_MS) == 0;
	return byte;
}

/* Loop thread: what a driver left in the FIFO is announced once more. */
static void rx_timed_out(void *arg, uint32_t events)
{
	struct serial *s = arg;
	uint64_t times;

	(void)events;
	pthread_mutex_lock(&s->lock);
	if (read(s->timer.fd, &times, sizeof(times)) == sizeof(times)) {
		s->timer_armed = false;
		s->rx_timeout = true;
		serial_update(s, 0);
	}
	pthread_mutex_unlock(&s->lock);
}

static size_t serial_room(void *arg)
{
	struct serial *s = arg;
	size_t room;

	pthread_mutex_lock(&s->lock);
	room = rx_wanted(s) ? capacity(s) - s->rx_count : 0;
	if (room == 0)
		s->rx_refused = true;
	pthread_mutex_unlock(&s->lock);
	return room;
}

static void serial_receive(void *arg, const uint8_t *data, size_t len)
{
	struct serial *s = arg;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < len && !(s->mcr & UART_MCR_LOOP); i++)
		rx_put(s, data[i]);
	s->rx_timeout = true;
	serial_update(s, 0);
	pthread_mutex_unlock(&s->lock);
}

/* ---- transmitter ---- */

static void write_thr(struct serial *s, uint8_t byte)
{
	if (s->mcr & UART_MCR_LOOP) {
		rx_put(s, byte);
		s->rx_timeout = true;
	} else {
		chardev_write(s->chardev, &byte, 1);
		s->tx_held = chardev_congested(s->chardev);
		if (s->tap)
			s->tap(s->tap_arg, byte);
	}
	s->thre_pending = true;
	serial_update(s, !s->acks_by_iir || s->iir_read ? CAUSE_THRE : 0);
}

/* Loop thread. chardev_congested() was true under our lock, so tx_held is set by now. */
static void serial_drained(void *arg)
{
	struct serial *s = arg;

	pthread_mutex_lock(&s->lock);
	s->tx_held = false;
	serial_update(s, 0);
	pthread_mutex_unlock(&s->lock);
}

/* ---- modem lines ---- */

/* 8.8: in loopback the four outputs feed the four inputs. Else: a modem that is always ready. */
static uint8_t modem_inputs(const struct serial *s)
{
	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	return (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static void write_mcr(struct serial *s, uint8_t value)
{
	uint8_t now, changed;

	if (value & UART_MCR_RTS && !(value & UART_MCR_LOOP))
		s->rts_used = true;
	s->mcr = value &
		 (UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_OUT1 | UART_MCR_RTS | UART_MCR_DTR);
	now = modem_inputs(s);
	changed = (now ^ s->msr) & 0xf0;
	/* 8.9: each delta lies four bits below its line; that of RI only tells of its trailing
	 * edge. */
	s->msr |= (changed & (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)) >> 4;
	if (changed & ~now & UART_MSR_RI)
		s->msr |= UART_MSR_TERI;
	s->msr = (s->msr & UART_MSR_ANY_DELTA) | now;
}

/* ---- the other registers ---- */

static void write_ier(struct serial *s, uint8_t value)
{
	uint8_t enabled = value & ~s->ier;

	s->ier = value & 0x0f;
	if (enabled & UART_IER_THRI) { /* enabling it with the transmitter empty is a cause: Linux
					  tests this */
		s->thre_pending = true;
		s->acks_by_iir = false;
	}
	if (enabled & UART_IER_RDI)
		s->rx_timeout = true; /* whatever lies there has lain for a while */
}

/* 8.5. Only a write with bit 0 set programs the others; changing bit 0 empties both FIFOs. */
static void write_fcr(struct serial *s, uint8_t value)
{
	bool toggled = (value ^ s->fcr) & UART_FCR_ENABLE_FIFO;

	s->fcr = value & UART_FCR_ENABLE_FIFO
			 ? value & (UART_FCR_TRIGGER_MASK | UART_FCR_ENABLE_FIFO)
			 : 0;
	if (toggled || (fifo_on(s) && (value & UART_FCR_CLEAR_RCVR)))
		rx_clear(s);
	if (toggled || (fifo_on(s) && (value & UART_FCR_CLEAR_XMIT)))
		s->thre_pending = true;
	s->rx_timeout = true;
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t lsr = UART_LSR_THRE | UART_LSR_TEMT | s->line_error;

	if (s->rx_count > 0)
		lsr |= UART_LSR_DR;
	s->line_error = 0;
	s->polled |= s->lsr_last; /* who only sends reads it once for each byte */
	return lsr;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t msr = s->msr;

	s->msr &= ~UART_MSR_ANY_DELTA;
	return msr;
}

static uint8_t read_register(struct serial *s, uint64_t off)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_RX:
		return dlab ? s->dll : read_rbr(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return read_lsr(s);
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_register(struct serial *s, uint64_t off, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	if (off == UART_TX && !dlab)
		write_thr(s, value);
	else if (off == UART_DLL)
		s->dll = value;
	else if (off == UART_IER && !dlab)
		write_ier(s, value);
	else if (off == UART_DLM)
		s->dlm = value;
	else if (off == UART_FCR)
		write_fcr(s, value);
	else if (off == UART_LCR)
		s->lcr = value;
	else if (off == UART_MCR)
		write_mcr(s, value);
	else if (off == UART_SCR)
		s->scr = value;
	/* LSR and MSR are for reading: writing LSR is for the factory's tests (8.4) */
}

static void serial_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct serial *s = dev;
	uint8_t *to = data;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len; i++) {
		to[i] = read_register(s, off + i);
		s->lsr_last = off + i == UART_LSR;
		serial_update(s, 0);
	}
	rx_resume(s); /* the FIFO ran empty, a driver began to poll */
	pthread_mutex_unlock(&s->lock);
}

static void serial_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct serial *s = dev;
	const uint8_t *from = data;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len; i++) {
		write_register(s, off + i, from[i]);
		serial_update(s, 0);
	}
	s->lsr_last = false;
	if (off != UART_TX || (s->lcr & UART_LCR_DLAB))
		s->polled = false; /* programmed anew, perhaps by the next driver */
	rx_resume(s);              /* the FIFO was cleared, loopback ended, somebody listens */
	pthread_mutex_unlock(&s->lock);
}

const struct bus_ops serial_bus_ops = {.read = serial_read, .write = serial_write};

/* ---- life ---- */

int serial_create(struct serial **out, const struct irq *irq, struct chardev *c, struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	struct chardev_front front = {serial_room, serial_receive, serial_drained, s};
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "serial: out of memory");
	pthread_mutex_init(&s->lock, NULL);
	s->irq = irq;
	s->chardev = c;
	s->dll = 1; /* 115200 baud: earlycon divides by it if the command line names no speed */
	s->msr = modem_inputs(s);
	s->timer = (struct loop_source){.fd = timer_open(), .fn = rx_timed_out, .arg = s};
	if (s->timer.fd < 0) {
		rc = err_sys(e, "serial: timerfd");
		serial_destroy(s);
		return rc;
	}
	rc = loop_add(chardev_loop(c), &s->timer, EPOLLIN);
	if (rc < 0)
		rc = err_set(e, -rc, "serial: epoll_ctl failed (errno %d)", -rc);
	else if ((rc = chardev_start(c, front, e)) < 0)
		err_wrap(e, rc, "serial: ");
	if (rc < 0)
		serial_destroy(s);
	else
		*out = s;
	return rc;
}

void serial_set_tap(struct serial *s, void (*fn)(void *arg, uint8_t byte), void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->tap = fn;
	s->tap_arg = arg;
	pthread_mutex_unlock(&s->lock);
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	chardev_detach(s->chardev);
	if (s->timer.fd >= 0)
		loop_remove(chardev_loop(s->chardev), &s->timer);
	fd_close(&s->timer.fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
