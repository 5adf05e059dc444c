/*
 * struct uart: a 16550A serial port, eight registers, with a 16-byte receive FIFO.
 *
 * What the guest sends goes to a sink at once, so the transmitter is always empty and no baud
 * rate slows it. What is typed waits in a backlog as long as the guest has not read it; nothing
 * is lost until UART_BACKLOG bytes wait.
 *
 * Not modelled: break, parity and framing errors, modem lines from outside (carrier, CTS and DSR
 * are always there). Registers and bits as in the PC16550D data sheet, section 8.
 */
#ifndef VMM_BOARD_UART_H
#define VMM_BOARD_UART_H

#include <stddef.h>

#include "vmm/device.h"

#define UART_PORT    0x3f8
#define UART_PORTS   8
#define UART_GSI     4
#define UART_BACKLOG 16384

struct uart;

/* Where sent bytes go; vCPU threads, with the uart's lock held; must not block. */
typedef void uart_sink(void *arg, const void *data, size_t len);

int uart_new(struct irq irq, uart_sink *sink, void *arg, struct uart **ret, struct err *e);
struct device *uart_device(struct uart *u);

/* Types on the port; any thread. Returns how many bytes were taken. */
size_t uart_input(struct uart *u, const void *data, size_t len);

#endif
