// SPDX-License-Identifier: Apache-2.0
#include "dev/i8042.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Ports, relative to 0x60. */
#define REG_DATA    0
#define REG_COMMAND 4 /* read: status */

#define STATUS_OUTPUT_FULL (1u << 0) /* a byte waits at the data port */
#define STATUS_SYSTEM      (1u << 2) /* self-test passed; follows the command byte */
#define STATUS_COMMAND     (1u << 3) /* the last write went to the command port */
#define STATUS_UNLOCKED    (1u << 4) /* 0 would mean: the key in the front of an AT is turned */
#define STATUS_AUX         (1u << 5) /* the waiting byte comes from the mouse port */
#define STATUS_TIMEOUT     (1u << 6) /* the device did not answer */

/* The command byte, RAM address 0. */
#define CTR_KEYBOARD_IRQ (1u << 0)
#define CTR_AUX_IRQ      (1u << 1)
#define CTR_SYSTEM       (1u << 2)
#define CTR_KEYBOARD_OFF (1u << 4)
#define CTR_AUX_OFF      (1u << 5)
#define CTR_TRANSLATE    (1u << 6) /* scan code set 2 to set 1, as the PC has always done */

#define OUTPUT_NO_RESET   (1u << 0) /* output port, bit 0: low resets the processor */
#define OUTPUT_A20        (1u << 1)
#define OUTPUT_FULL       (1u << 4)
#define OUTPUT_LINES_IDLE 0xc0 /* keyboard clock and data are high */

#define KEYBOARD_ACK    0xfa
#define KEYBOARD_RESEND 0xfe
#define KEYBOARD_BAT_OK 0xaa /* basic assurance test passed */

#define RAM_SIZE 32
#define FIFO_SIZE \
	(I8042_BUFFERED - 1) /* the reply of the controller itself has a place of its own */

/* Who takes the next byte written to the data port. */
enum target {
	TO_KEYBOARD,
	TO_RAM,
	TO_OUTPUT_PORT,
	TO_KEYBOARD_LOOP, /* comes back as if the keyboard had sent it */
	TO_AUX_LOOP,
	TO_AUX,
};

struct keyboard {
	uint8_t command; /* waits for its argument; 0: none */
	uint8_t last;    /* last byte sent, for 0xfe (resend) */
	uint8_t set;     /* scan code set 1 to 3 */
	bool scanning;   /* keys are sent */
	uint8_t fifo[FIFO_SIZE];
	unsigned head, n;
};

struct i8042 {
	pthread_mutex_t
		lock; /* taken last; guards all below but irq and life, which never change */
	const struct irq *irq;
	struct lifecycle life;
	uint8_t ram[RAM_SIZE];
	uint8_t output_port;
	uint8_t status; /* STATUS_COMMAND only; the rest is computed */
	enum target target;
	unsigned ram_index; /* TO_RAM */
	bool replied;       /* reply and reply_status hold a byte of the controller */
	uint8_t reply, reply_status;
	struct keyboard kbd;
	bool irq_line;
};

/* The keyboard's byte, if the controller lets it through. The controller's own reply comes first.
 */
static bool keyboard_ready(const struct i8042 *k)
{
	return !k->replied && k->kbd.n > 0 && !(k->ram[0] & CTR_KEYBOARD_OFF);
}

/* IRQ 1 follows "output full" while the command byte lets it; the line's rise is the interrupt. */
static void update_irq(struct i8042 *k)
{
	bool full = keyboard_ready(k) || (k->replied && !(k->reply_status & STATUS_AUX));
	bool line = full && (k->ram[0] & CTR_KEYBOARD_IRQ);

	if (line && !k->irq_line)
		irq_raise(k->irq);
	k->irq_line = line;
}

/* A new reply takes the place of one that was not read, as in the chip's single output register. */
static void reply_with(struct i8042 *k, uint8_t byte, uint8_t status)
{
	k->reply = byte;
	k->reply_status = status;
	k->replied = true;
}

static void keyboard_push(struct keyboard *kbd, uint8_t byte)
{
	if (kbd->n == FIFO_SIZE)
		return; /* the guest does not read: a real keyboard drops keys, too */
	kbd->fifo[(kbd->head + kbd->n++) % FIFO_SIZE] = byte;
}

/*
 * What the controller makes of a byte that the keyboard sends while translation is on: of the table
 * from set 2 to set 1, the few entries that a reply can hit. All above 0x84 pass unchanged.
 */
static uint8_t translate(uint8_t byte)
{
	switch (byte) {
	case 0x01:
		return 0x43;
	case 0x02:
	case 0x83:
		return 0x41;
	case 0x03:
		return 0x3f;
	default:
		return byte;
	}
}

static void keyboard_send(struct i8042 *k, uint8_t byte)
{
	k->kbd.last = byte;
	keyboard_push(&k->kbd, k->ram[0] & CTR_TRANSLATE ? translate(byte) : byte);
}

static void keyboard_defaults(struct keyboard *kbd)
{
	kbd->set = 2;
	kbd->scanning = true;
}

/* A command (IBM PS/2 technical reference, keyboard, "commands from the system"). */
static void keyboard_command(struct i8042 *k, uint8_t command)
{
	struct keyboard *kbd = &k->kbd;

	switch (command) {
	case 0xed: /* lights */
	case 0xf0: /* scan code set */
	case 0xf3: /* repeat rate */
		kbd->command = command;
		keyboard_send(k, KEYBOARD_ACK);
		break;
	case 0xee: /* echo */
		keyboard_send(k, 0xee);
		break;
	case 0xf2: /* who are you: a keyboard with 101 or more keys */
		keyboard_send(k, KEYBOARD_ACK);
		keyboard_send(k, 0xab);
		keyboard_send(k, 0x83);
		break;
	case 0xf4: /* on */
		kbd->scanning = true;
		keyboard_send(k, KEYBOARD_ACK);
		break;
	case 0xf5: /* defaults and off, defaults */
	case 0xf6:
		keyboard_defaults(kbd);
		kbd->scanning = command == 0xf6;
		keyboard_send(k, KEYBOARD_ACK);
		break;
	case 0xf7: /* key types of set 3: nothing here repeats anyway */
	case 0xf8:
	case 0xf9:
	case 0xfa:
		keyboard_send(k, KEYBOARD_ACK);
		break;
	case 0xfe:
		keyboard_send(k, kbd->last);
		break;
	case 0xff: /* reset: forgets all keys, then reports its self-test */
		kbd->head = kbd->n = 0;
		keyboard_defaults(kbd);
		keyboard_send(k, KEYBOARD_ACK);
		keyboard_send(k, KEYBOARD_BAT_OK);
		break;
	default:
		keyboard_send(k, KEYBOARD_RESEND);
		break;
	}
}

static void keyboard_argument(struct i8042 *k, uint8_t command, uint8_t argument)
{
	struct keyboard *kbd = &k->kbd;

	if (command == 0xf0 && argument > 3) {
		keyboard_send(k, KEYBOARD_RESEND);
		return;
	}
	keyboard_send(k, KEYBOARD_ACK);
	if (command == 0xf0 && argument == 0)
		keyboard_send(k, kbd->set);
	else if (command == 0xf0)
		kbd->set = argument;
}

/* One byte from the guest to the keyboard. A command where an argument was due begins anew. */
static void keyboard_receive(struct i8042 *k, uint8_t byte)
{
	uint8_t command = k->kbd.command;

	k->kbd.command = 0;
	k->ram[0] &= (uint8_t)~CTR_KEYBOARD_OFF; /* the controller must release the clock to send */
	if (command && byte < 0xed)
		keyboard_argument(k, command, byte);
	else
		keyboard_command(k, byte);
}

static void write_ram(struct i8042 *k, unsigned index, uint8_t value)
{
	/* There is no mouse port: it can neither be switched on nor interrupt. */
	if (index == 0)
		value = (uint8_t)((value & ~CTR_AUX_IRQ) | CTR_AUX_OFF);
	k->ram[index] = value;
}

static uint8_t read_output_port(const struct i8042 *k)
{
	bool full = k->replied || keyboard_ready(k);

	return k->output_port | OUTPUT_LINES_IDLE | (full ? OUTPUT_FULL : 0);
}

/* The commands that need no byte to follow. True when the guest asks for a reset. */
static bool simple_command(struct i8042 *k, uint8_t command)
{
	switch (command) {
	case 0xa4: /* password installed? no */
		reply_with(k, 0xf1, 0);
		break;
	case 0xa9: /* test the mouse port: its clock line is stuck low, so none is there */
		reply_with(k, 0x01, 0);
		break;
	case 0xaa: /* self-test */
		k->ram[0] |= CTR_SYSTEM;
		reply_with(k, 0x55, 0);
		break;
	case 0xab: /* test the keyboard port: fine */
		reply_with(k, 0x00, 0);
		break;
	case 0xad:
		k->ram[0] |= CTR_KEYBOARD_OFF;
		break;
	case 0xae:
		k->ram[0] &= (uint8_t)~CTR_KEYBOARD_OFF;
		break;
	case 0xc0: /* input port: keyboard not locked */
		reply_with(k, 0x80, 0);
		break;
	case 0xd0:
		reply_with(k, read_output_port(k), 0);
		break;
	case 0xe0: /* test inputs: clock and data of the keyboard */
		reply_with(k, 0x00, 0);
		break;
	default: /* 0xf0 to 0xff pulse the output port's low bits that are 0; 0xa7, 0xa8: no mouse
		    port */
		return command >= 0xf0 && !(command & OUTPUT_NO_RESET);
	}
	return false;
}

/* A byte to port 0x64. True when the guest asks for a reset. */
static bool write_command(struct i8042 *k, uint8_t command)
{
	k->target = TO_KEYBOARD;
	switch (command) {
	case 0x20 ... 0x3f:
		reply_with(k, k->ram[command - 0x20], 0);
		return false;
	case 0x60 ... 0x7f:
		k->target = TO_RAM;
		k->ram_index = command - 0x60u;
		return false;
	case 0xd1:
		k->target = TO_OUTPUT_PORT;
		return false;
	case 0xd2:
		k->target = TO_KEYBOARD_LOOP;
		return false;
	case 0xd3:
		k->target = TO_AUX_LOOP;
		return false;
	case 0xd4:
		k->target = TO_AUX;
		return false;
	default:
		return simple_command(k, command);
	}
}

/* A byte to port 0x60. True when the guest asks for a reset. */
static bool write_data(struct i8042 *k, uint8_t byte)
{
	enum target target = k->target;

	k->target = TO_KEYBOARD;
	switch (target) {
	case TO_RAM:
		write_ram(k, k->ram_index, byte);
		break;
	case TO_OUTPUT_PORT:
		k->output_port = byte & (OUTPUT_NO_RESET | OUTPUT_A20); /* A20 is always open */
		return !(byte & OUTPUT_NO_RESET);
	case TO_KEYBOARD_LOOP:
		keyboard_push(&k->kbd, byte);
		break;
	case TO_AUX_LOOP: /* comes back at once, but not as the mouse's: Linux waits 500 ms for
			     silence */
		reply_with(k, byte, 0);
		break;
	case TO_AUX:
		reply_with(k, KEYBOARD_RESEND, STATUS_AUX | STATUS_TIMEOUT);
		break;
	case TO_KEYBOARD:
		keyboard_receive(k, byte);
		break;
	}
	return false;
}

static uint8_t read_data(struct i8042 *k)
{
	struct keyboard *kbd = &k->kbd;
	uint8_t byte = k->reply; /* an empty register still holds what was read last */

	if (keyboard_ready(k)) {
		byte = kbd->fifo[kbd->head];
		kbd->head = (kbd->head + 1) % FIFO_SIZE;
		kbd->n--;
	}
	k->reply = byte;
	k->replied = false;
	k->irq_line = false; /* falls with "output full"; a byte behind makes it rise again */
	return byte;
}

static uint8_t read_status(const struct i8042 *k)
{
	uint8_t status = k->status | STATUS_UNLOCKED;

	if (k->ram[0] & CTR_SYSTEM)
		status |= STATUS_SYSTEM;
	if (k->replied)
		status |= STATUS_OUTPUT_FULL | k->reply_status;
	else if (keyboard_ready(k))
		status |= STATUS_OUTPUT_FULL;
	return status; /* "input full" is never set: a byte is taken at once */
}

static void i8042_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct i8042 *k = dev;
	uint8_t *to = data;

	pthread_mutex_lock(&k->lock);
	for (unsigned i = 0; i < len; i++) {
		if (off + i == REG_DATA)
			to[i] = read_data(k);
		else
			to[i] = off + i == REG_COMMAND ? read_status(k) : 0xff;
	}
	update_irq(k);
	pthread_mutex_unlock(&k->lock);
}

static void i8042_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct i8042 *k = dev;
	const uint8_t *from = data;
	bool reset = false;

	pthread_mutex_lock(&k->lock);
	for (unsigned i = 0; i < len; i++) {
		if (off + i == REG_DATA) {
			k->status &= (uint8_t)~STATUS_COMMAND;
			reset |= write_data(k, from[i]);
		} else if (off + i == REG_COMMAND) {
			k->status |= STATUS_COMMAND;
			reset |= write_command(k, from[i]);
		}
	}
	update_irq(k);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		k->life.event(k->life.arg, GUEST_RESET);
}

const struct bus_ops i8042_bus_ops = {.read = i8042_read, .write = i8042_write};

int i8042_ctrl_alt_del(struct i8042 *k)
{
	/* Press Ctrl, Alt, Delete; release in reverse. */
	static const uint8_t set1[] = {0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d};
	static const uint8_t set2[] = {0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0,
				       0x71, 0xf0, 0x11, 0xf0, 0x14};
	bool translated;
	unsigned n;
	int rc = -EAGAIN;

	pthread_mutex_lock(&k->lock);
	translated = k->ram[0] & CTR_TRANSLATE;
	n = translated ? sizeof(set1) : sizeof(set2);
	if (k->kbd.scanning && !(k->ram[0] & CTR_KEYBOARD_OFF) && FIFO_SIZE - k->kbd.n >= n) {
		for (unsigned i = 0; i < n; i++)
			keyboard_push(&k->kbd, translated ? set1[i] : set2[i]);
		update_irq(k);
		rc = 0;
	}
	pthread_mutex_unlock(&k->lock);
	return rc;
}

int i8042_create(struct i8042 **out, const struct irq *keyboard_irq, struct lifecycle life,
		 struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, ENOMEM, "keyboard controller: out of memory");
	pthread_mutex_init(&k->lock, NULL);
	k->irq = keyboard_irq;
	k->life = life;
	/* As a PC's firmware leaves it. Linux leaves translation as it finds it. */
	write_ram(k, 0, CTR_TRANSLATE | CTR_SYSTEM | CTR_KEYBOARD_IRQ);
	k->output_port = OUTPUT_NO_RESET | OUTPUT_A20;
	keyboard_defaults(&k->kbd);
	*out = k;
	return 0;
}

void i8042_destroy(struct i8042 *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	free(k);
}
