/* struct uart: see uart.h. */
#include "vmm/board/uart.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	REG_DATA = 0, /* RBR, THR; divisor low with DLAB */
	REG_IER = 1,  /* divisor high with DLAB */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_RX	     0x01
#define IER_THRE     0x02
#define IER_LINE     0x04
#define IER_MASK     0x0f
#define IIR_NONE     0x01
#define IIR_THRE     0x02
#define IIR_RX	     0x04
#define IIR_LINE     0x06
#define IIR_TIMEOUT  0x0c
#define IIR_FIFO     0xc0
#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define LCR_DLAB     0x80
#define MCR_MASK     0x1f
#define MCR_LOOP     0x10
#define LSR_DATA     0x01
#define LSR_OVERRUN  0x02
#define LSR_TX_EMPTY 0x60 /* holding and shift register */
#define MSR_LINES    0xb0 /* carrier, data set ready, clear to send */

#define FIFO_SIZE 16

struct uart {
	struct device device;
	struct irq irq;
	uart_sink *sink;
	void *sink_arg;
	pthread_mutex_t lock; /* everything below */
	uint8_t ier, fcr, lcr, mcr, lsr, scr, dll, dlm;
	bool thre_pending; /* the transmitter-empty interrupt is due */
	bool level;	   /* of the interrupt line */
	size_t fifo_len;
	uint8_t fifo[FIFO_SIZE];
	size_t backlog_at; /* a ring: oldest byte, and how many */
	size_t backlog_len;
	uint8_t backlog[UART_BACKLOG];
};

static struct uart *uart_of(struct device *d)
{
	return (struct uart *)((char *)d - offsetof(struct uart, device));
}

static size_t uart_fifo_size(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

/* Bytes that must wait before the "data available" interrupt rather than the timeout one. */
static size_t uart_trigger(const struct uart *u)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* The highest pending interrupt, by the priorities of the data sheet's table IV. */
static uint8_t uart_cause(const struct uart *u)
{
	if ((u->ier & IER_LINE) && (u->lsr & LSR_OVERRUN))
		return IIR_LINE;
	// No time passes between bytes here: what is below the trigger has timed out already.
	if ((u->ier & IER_RX) && u->fifo_len)
		return u->fifo_len >= uart_trigger(u) ? IIR_RX : IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	return IIR_NONE;
}

static void uart_update(struct uart *u)
{
	bool level = uart_cause(u) != IIR_NONE;

	if (level == u->level)
		return;
	u->level = level;
	irq_set(&u->irq, level);
}

/* Moves what was typed into the FIFO as far as there is room. */
static void uart_fill(struct uart *u)
{
	if (u->mcr & MCR_LOOP)
		return; // the receiver is connected to the transmitter
	while (u->backlog_len && u->fifo_len < uart_fifo_size(u)) {
		u->fifo[u->fifo_len++] = u->backlog[u->backlog_at];
		u->backlog_at = (u->backlog_at + 1) % UART_BACKLOG;
		u->backlog_len--;
	}
}

static uint8_t uart_take(struct uart *u)
{
	uint8_t v;

	if (!u->fifo_len)
		return 0;
	v = u->fifo[0];
	memmove(u->fifo, u->fifo + 1, --u->fifo_len);
	uart_fill(u);
	return v;
}

static void uart_send(struct uart *u, uint8_t v)
{
	if (!(u->mcr & MCR_LOOP))
		u->sink(u->sink_arg, &v, 1);
	else if (u->fifo_len < uart_fifo_size(u))
		u->fifo[u->fifo_len++] = v;
	else
		u->lsr |= LSR_OVERRUN;
	u->thre_pending = true;
}

/* In loopback the four modem outputs come back as the four inputs. */
static uint8_t uart_msr(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_LINES;
	return (uint8_t)((u->mcr & 0x02) << 3 | (u->mcr & 0x01) << 5 | (u->mcr & 0x0c) << 4);
}

static uint8_t uart_iir(struct uart *u)
{
	uint8_t cause = uart_cause(u);

	if (cause == IIR_THRE)
		u->thre_pending = false; // reading it as the cause acknowledges it
	return cause | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t uart_lsr(struct uart *u)
{
	uint8_t v = u->lsr | LSR_TX_EMPTY | (u->fifo_len ? LSR_DATA : 0);

	u->lsr &= (uint8_t)~LSR_OVERRUN;
	return v;
}

static uint8_t uart_get(struct uart *u, uint64_t reg)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? u->dll : uart_take(u);
	case REG_IER:
		return dlab ? u->dlm : u->ier;
	case REG_IIR:
		return uart_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return uart_lsr(u);
	case REG_MSR:
		return uart_msr(u);
	default:
		return u->scr;
	}
}

static uint64_t uart_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct uart *u = uart_of(d);
	uint8_t v;

	pthread_mutex_lock(&u->lock);
	v = uart_get(u, offset);
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
	return v;
}

static void uart_set_fcr(struct uart *u, uint8_t v)
{
	// Turning the FIFO on or off empties it, and so does the clear bit.
	if (((v ^ u->fcr) & FCR_ENABLE) || (v & FCR_CLEAR_RX))
		u->fifo_len = 0;
	u->fcr = v & (v & FCR_ENABLE ? 0xc9 : 0);
	uart_fill(u);
}

static void uart_put(struct uart *u, uint64_t reg, uint8_t v)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (dlab)
			u->dll = v;
		else
			uart_send(u, v);
		break;
	case REG_IER:
		if (dlab) {
			u->dlm = v;
			break;
		}
		// The transmitter is empty, so enabling its interrupt makes it due at once.
		if (v & ~u->ier & IER_THRE)
			u->thre_pending = true;
		u->ier = v & IER_MASK;
		break;
	case REG_IIR:
		uart_set_fcr(u, v);
		break;
	case REG_LCR:
		u->lcr = v;
		break;
	case REG_MCR:
		u->mcr = v & MCR_MASK;
		uart_fill(u);
		break;
	case REG_SCR:
		u->scr = v;
		break;
	default: // LSR and MSR are read only
		break;
	}
}

static void uart_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
		       uint64_t value)
{
	struct uart *u = uart_of(d);

	pthread_mutex_lock(&u->lock);
	uart_put(u, offset, (uint8_t)value);
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
}

size_t uart_input(struct uart *u, const void *data, size_t len)
{
	const uint8_t *p = data;

	pthread_mutex_lock(&u->lock);
	if (len > UART_BACKLOG - u->backlog_len)
		len = UART_BACKLOG - u->backlog_len;
	for (size_t i = 0; i < len; i++)
		u->backlog[(u->backlog_at + u->backlog_len++) % UART_BACKLOG] = p[i];
	uart_fill(u);
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
	return len;
}

static void uart_reset(struct device *d)
{
	struct uart *u = uart_of(d);

	pthread_mutex_lock(&u->lock);
	u->ier = u->fcr = u->lcr = u->mcr = u->lsr = u->scr = u->dlm = 0;
	u->dll = 0x0c; // 9600 baud, what firmware leaves behind
	u->thre_pending = false;
	u->fifo_len = u->backlog_at = u->backlog_len = 0;
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
}

static void uart_save(struct device *d, struct record *r)
{
	struct uart *u = uart_of(d);

	pthread_mutex_lock(&u->lock);
	record_put_u8(r, 1); // version
	record_put(r, (uint8_t[]){ u->ier, u->fcr, u->lcr, u->mcr, u->lsr, u->scr, u->dll, u->dlm },
		   8);
	record_put_u8(r, u->thre_pending);
	record_put_u8(r, (uint8_t)u->fifo_len);
	record_put(r, u->fifo, u->fifo_len);
	pthread_mutex_unlock(&u->lock);
}

/* The line's level is not saved: the interrupt controller's own state has it. */
static int uart_load(struct device *d, struct record *r, struct err *e)
{
	struct uart *u = uart_of(d);
	uint8_t regs[8], fifo[FIFO_SIZE], version = record_get_u8(r), thre, len;

	record_get(r, regs, sizeof(regs));
	thre = record_get_u8(r);
	len = record_get_u8(r);
	if (version != 1 || len > FIFO_SIZE)
		return err_set(e, -EINVAL, "uart: not a state that this version can load");
	record_get(r, fifo, len);
	if (!record_done(r))
		return err_set(e, -EINVAL, "uart: the saved state has the wrong length");
	pthread_mutex_lock(&u->lock);
	u->ier = regs[0] & IER_MASK;
	u->fcr = regs[1];
	u->lcr = regs[2];
	u->mcr = regs[3] & MCR_MASK;
	u->lsr = regs[4] & LSR_OVERRUN;
	u->scr = regs[5];
	u->dll = regs[6];
	u->dlm = regs[7];
	u->thre_pending = thre;
	u->fifo_len = len;
	memcpy(u->fifo, fifo, len);
	uart_fill(u);
	uart_update(u);
	pthread_mutex_unlock(&u->lock);
	return 0;
}

static void uart_free(struct device *d)
{
	struct uart *u = uart_of(d);

	pthread_mutex_destroy(&u->lock);
	free(u);
}

static const struct device_ops uart_ops = {
	.name = "uart",
	.access_max = 1,
	.read = uart_read,
	.write = uart_write,
	.reset = uart_reset,
	.save = uart_save,
	.load = uart_load,
	.free = uart_free,
};

int uart_new(struct irq irq, uart_sink *sink, void *arg, struct uart **ret, struct err *e)
{
	struct uart *u = calloc(1, sizeof(*u));

	if (!u)
		return err_sys(e, ENOMEM, "uart");
	u->device.ops = &uart_ops;
	u->irq = irq;
	u->sink = sink;
	u->sink_arg = arg;
	pthread_mutex_init(&u->lock, NULL);
	uart_reset(&u->device);
	*ret = u;
	return 0;
}

struct device *uart_device(struct uart *u)
{
	return &u->device;
}
