/* acpi: see acpi.h. */
#include "vmm/boot/acpi.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/board/ioapic.h"
#include "vmm/board/pm.h"
#include "vmm/board/pvpanic.h"
#include "vmm/board/rtc.h"
#include "vmm/board/uart.h"
#include "vmm/board/watchdog.h"
#include "vmm/boot/acpi_cpus.h"
#include "vmm/boot/acpi_pci.h"
#include "vmm/boot/aml.h"
#include "vmm/numa.h"

#define OEM "MCHNFS"

struct table_header { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct gas {	       /* generic address, 5.2.3.2 */
	uint8_t space; /* 1: system I/O */
	uint8_t bits;
	uint8_t offset;
	uint8_t access; /* 1: byte */
	uint64_t address;
} __attribute__((packed));

/* 5.2.9; the fixed-hardware fields, all zero in the hardware-reduced model, are left together. */
struct fadt {
	struct table_header h;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved1;
	uint8_t pm_profile;
	uint8_t fixed1[62];
	uint8_t century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct gas fixed2[8];
	struct gas sleep_control;
	struct gas sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));

_Static_assert(sizeof(struct fadt) == 276, "FADT, revision 6");
_Static_assert(offsetof(struct fadt, flags) == 112, "FADT flags");

#define FADT_RESET_REG	 (1u << 10)
#define FADT_HEADLESS	 (1u << 12)
#define FADT_HW_REDUCED	 (1u << 20)
#define BOOT_ARCH_LEGACY (1u << 0) /* the serial port and the clock are there to be found */
#define BOOT_ARCH_NO_VGA (1u << 2)

struct madt { /* 5.2.12 */
	struct table_header h;
	uint32_t lapic;
	uint32_t flags;
} __attribute__((packed));

struct madt_lapic {
	uint8_t type, length;
	uint8_t uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length;
	uint8_t id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_lapic_nmi {
	uint8_t type, length;
	uint8_t uid; /* 0xff: all */
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

#define MADT_ENABLED	    (1u << 0)
#define MADT_ONLINE_CAPABLE (1u << 1) /* may come later */

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_LAPIC_NMI = 4, MADT_X2APIC = 9 };

static uint8_t checksum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)-sum;
}

static struct table_header table_header(const char *signature, uint8_t revision)
{
	struct table_header h = { .revision = revision, .oem_revision = 1, .creator_revision = 1 };

	memcpy(h.signature, signature, 4);
	memcpy(h.oem_id, OEM, 6);
	memcpy(h.oem_table_id, "MACHINEF", 8);
	memcpy(h.creator_id, "MFS ", 4);
	return h;
}

/* Length and checksum of a table that is complete in t. */
static void table_seal(struct text *t)
{
	struct table_header *h = (struct table_header *)t->data;

	if (text_failed(t))
		return;
	h->length = (uint32_t)t->len;
	h->checksum = 0;
	h->checksum = checksum(t->data, t->len);
}

static void dsdt_serial(struct text *t)
{
	struct text dev = TEXT_INIT, res = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_eisaid(&dev, "PNP0501");
	aml_name(&dev, "_UID");
	aml_integer(&dev, 0);
	aml_res_io(&res, UART_PORT, UART_PORTS);
	aml_res_irq(&res, UART_GSI);
	aml_name(&dev, "_CRS");
	aml_resources(&dev, &res);
	aml_device(t, "COM1", &dev);
	text_free(&res);
	text_free(&dev);
}

static void dsdt_rtc(struct text *t)
{
	struct text dev = TEXT_INIT, res = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_eisaid(&dev, "PNP0B00");
	aml_res_io(&res, RTC_PORT, RTC_PORTS);
	aml_name(&dev, "_CRS");
	aml_resources(&dev, &res);
	aml_device(t, "RTC0", &dev);
	text_free(&res);
	text_free(&dev);
}

static void dsdt_pvpanic(struct text *t)
{
	struct text dev = TEXT_INIT, res = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_string(&dev, "QEMU0001");
	aml_res_io(&res, PVPANIC_PORT, PVPANIC_PORTS);
	aml_name(&dev, "_CRS");
	aml_resources(&dev, &res);
	aml_device(t, "PVPN", &dev);
	text_free(&res);
	text_free(&dev);
}

/* Microsoft's "Virtual Machine Generation ID": ADDR says where it lies, in two halves. */
static void dsdt_genid(struct text *t)
{
	struct text dev = TEXT_INIT, halves = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_string(&dev, "MCFS0001");
	aml_name(&dev, "_CID");
	aml_string(&dev, "VM_Gen_Counter");
	aml_name(&dev, "_DDN");
	aml_string(&dev, "VM_Gen_Counter");
	aml_integer(&halves, ACPI_GENID);
	aml_integer(&halves, 0);
	aml_name(&dev, "ADDR");
	aml_package(&dev, 2, &halves);
	aml_device(t, "VMGI", &dev);
	text_free(&halves);
	text_free(&dev);
}

static void dsdt_power_button(struct text *t)
{
	struct text dev = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_eisaid(&dev, "PNP0C0C");
	aml_device(t, "PWRB", &dev);
	text_free(&dev);
}

/* The Generic Event Device (5.6.9): its interrupt runs _EVT, which reads and spreads the events. */
static void dsdt_events(struct text *t, const struct acpi_machine *machine)
{
	struct text dev = TEXT_INIT, res = TEXT_INIT, evt = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_string(&dev, "ACPI0013");
	aml_name(&dev, "_UID");
	aml_integer(&dev, 0);
	aml_res_irq(&res, PM_GSI);
	aml_name(&dev, "_CRS");
	aml_resources(&dev, &res);
	aml_io_region(&dev, "EVRG", PM_PORT + PM_EVENTS, 1);
	aml_byte_field(&dev, "EVRG", "EVST");
	aml_local0_set(&evt, "EVST");
	aml_notify_if_local0(&evt, PM_EVENT_POWER, "\\_SB_.PWRB", 0x80);
	aml_notify_if_local0(&evt, PM_EVENT_GENID, "\\_SB_.VMGI", 0x80);
	aml_call_if_local0(&evt, PM_EVENT_CPUS, ACPI_CPUS_SCAN);
	if (machine->pci)
		aml_call_if_local0(&evt, PM_EVENT_PCI, ACPI_PCI_SCAN);
	aml_method(&dev, "_EVT", 1, &evt);
	aml_device(t, "GED0", &dev);
	text_free(&evt);
	text_free(&res);
	text_free(&dev);
}

static void dsdt_s5(struct text *t)
{
	struct text values = TEXT_INIT;

	for (int i = 0; i < 4; i++)
		aml_integer(&values, i == 0 ? PM_S5 : 0);
	aml_name(t, "\\_S5_");
	aml_package(t, 4, &values);
	text_free(&values);
}

void acpi_dsdt(struct text *t, const struct acpi_machine *machine)
{
	struct table_header h = table_header("DSDT", 6);
	struct text sb = TEXT_INIT;

	text_add_bytes(t, &h, sizeof(h));
	if (machine->uart)
		dsdt_serial(&sb);
	dsdt_rtc(&sb);
	dsdt_power_button(&sb);
	dsdt_pvpanic(&sb);
	dsdt_genid(&sb);
	acpi_cpus(&sb, machine);
	if (machine->pci)
		acpi_pci(&sb, machine);
	dsdt_events(&sb, machine);
	aml_scope(t, "\\_SB_", &sb);
	dsdt_s5(t);
	text_free(&sb);
	table_seal(t);
}

static void madt_build(struct text *t, const struct acpi_machine *machine)
{
	struct madt m = { .h = table_header("APIC", 5), .lapic = ACPI_LAPIC_BASE };
	struct madt_ioapic io = { .type = MADT_IOAPIC,
				  .length = sizeof(io),
				  .address = IOAPIC_BASE };
	struct madt_lapic_nmi nmi = {
		.type = MADT_LAPIC_NMI, .length = sizeof(nmi), .uid = 0xff, .lint = 1
	};

	text_add_bytes(t, &m, sizeof(m));
	for (unsigned i = 0; i < machine->cpus; i++) {
		uint32_t id = cpu_topology_apic_id(machine->topology, i);
		struct madt_lapic l = { .type = MADT_LAPIC, .length = sizeof(l) };
		struct madt_x2apic x = { .type = MADT_X2APIC, .length = sizeof(x) };

		l.flags = x.flags = i < machine->present ? MADT_ENABLED : MADT_ONLINE_CAPABLE;
		l.uid = (uint8_t)i;
		l.apic_id = (uint8_t)id;
		x.uid = i;
		x.apic_id = id;
		if (i < 255 && id < 255) // an 8-bit id of 255 means all
			text_add_bytes(t, &l, sizeof(l));
		else
			text_add_bytes(t, &x, sizeof(x));
	}
	text_add_bytes(t, &io, sizeof(io));
	text_add_bytes(t, &nmi, sizeof(nmi));
	table_seal(t);
}

struct wdat { /* Microsoft's specification, 4.1 */
	struct table_header h;
	uint32_t header_length;
	uint16_t pci_segment;
	uint8_t pci_bus, pci_device, pci_function, reserved1[3]; /* all ones: not on PCI */
	uint32_t period, max, min; /* of the unit in ms; of the count */
	uint8_t flags, reserved2[3];
	uint32_t entries;
} __attribute__((packed));

struct wdat_entry {
	uint8_t action, instruction;
	uint16_t reserved;
	struct gas reg;
	uint32_t value, mask;
} __attribute__((packed));

#define WDAT_ENABLED	    (1u << 0)
#define WDAT_READ_VALUE	    0
#define WDAT_READ_COUNTDOWN 1
#define WDAT_WRITE_VALUE    2
#define WDAT_WRITE_COUNT    3

static struct gas port(uint16_t port, unsigned bytes)
{
	return (struct gas){ .space = 1,
			     .bits = (uint8_t)(8 * bytes),
			     .access = (uint8_t)bytes, // 1: byte, 2: word
			     .address = port };
}

static void wdat_build(struct text *t)
{
	static const struct {
		uint8_t action, instruction;
		uint16_t reg;
		uint32_t value, mask;
	} rows[] = {
		{ 1, WDAT_WRITE_VALUE, WATCHDOG_WIND, 1, 0xff }, // reset
		{ 4, WDAT_READ_COUNTDOWN, WATCHDOG_LEFT, 0, 0xffff },
		{ 5, WDAT_READ_COUNTDOWN, WATCHDOG_COUNT, 0, 0xffff },
		{ 6, WDAT_WRITE_COUNT, WATCHDOG_COUNT, 0, 0xffff },
		{ 8, WDAT_READ_VALUE, WATCHDOG_CONTROL, 1, 1 }, // does it run?
		{ 9, WDAT_WRITE_VALUE, WATCHDOG_CONTROL, 1, 0xff },
		{ 10, WDAT_READ_VALUE, WATCHDOG_CONTROL, 0, 1 }, // does it stand?
		{ 11, WDAT_WRITE_VALUE, WATCHDOG_CONTROL, 0, 0xff },
		{ 32, WDAT_READ_VALUE, WATCHDOG_STATUS, 1, 1 }, // did it come to 0?
		{ 33, WDAT_WRITE_VALUE, WATCHDOG_STATUS, 0, 0xff },
	};
	struct wdat w = { .h = table_header("WDAT", 1),
			  .header_length = sizeof(w) - sizeof(w.h),
			  .pci_segment = 0xff, // a byte's worth, as its readers compare
			  .pci_bus = 0xff,
			  .pci_device = 0xff,
			  .pci_function = 0xff,
			  .period = WATCHDOG_UNIT_MS,
			  .max = WATCHDOG_COUNT_MAX,
			  .min = 1,
			  .flags = WDAT_ENABLED,
			  .entries = sizeof(rows) / sizeof(rows[0]) };

	text_add_bytes(t, &w, sizeof(w));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wdat_entry entry = {
			.action = rows[i].action,
			.instruction = rows[i].instruction,
			.reg = port((uint16_t)(WATCHDOG_PORT + rows[i].reg),
				    rows[i].reg < WATCHDOG_CONTROL ? 2 : 1),
			.value = rows[i].value,
			.mask = rows[i].mask,
		};

		text_add_bytes(t, &entry, sizeof(entry));
	}
	table_seal(t);
}

struct srat { /* 5.2.16 */
	struct table_header h;
	uint32_t reserved1; /* 1 */
	uint64_t reserved2;
} __attribute__((packed));

struct srat_x2apic {
	uint8_t type, length;
	uint16_t reserved1;
	uint32_t domain, apic_id, flags, clock_domain, reserved2;
} __attribute__((packed));

struct srat_memory {
	uint8_t type, length;
	uint32_t domain;
	uint16_t reserved1;
	uint64_t base, len;
	uint32_t reserved2, flags;
	uint64_t reserved3;
} __attribute__((packed));

enum { SRAT_MEMORY = 1, SRAT_X2APIC = 2 };
#define SRAT_ENABLED	 (1u << 0)
#define SRAT_HOT_PLUGGED (1u << 1)

static void srat_memory(struct text *t, unsigned node, uint64_t base, uint64_t len, uint32_t flags)
{
	struct srat_memory m = { .type = SRAT_MEMORY,
				 .length = sizeof(m),
				 .domain = node,
				 .base = base,
				 .len = len,
				 .flags = flags };

	if (len)
		text_add_bytes(t, &m, sizeof(m));
}

/* A node's RAM, which the hole below 4 GiB may cut in two. */
static void srat_node(struct text *t, const struct guestmem *m, unsigned node, uint64_t at,
		      uint64_t len)
{
	uint64_t below = at < m->low ? m->low - at : 0;

	below = below < len ? below : len;
	srat_memory(t, node, at, below, SRAT_ENABLED);
	srat_memory(t, node, GUESTMEM_HIGH + at + below - m->low, len - below, SRAT_ENABLED);
}

static void srat_build(struct text *t, const struct guestmem *m, const struct acpi_machine *machine)
{
	struct srat s = { .h = table_header("SRAT", 3), .reserved1 = 1 };
	uint64_t at = 0;

	text_add_bytes(t, &s, sizeof(s));
	for (unsigned i = 0; i < machine->cpus; i++) {
		struct srat_x2apic x = { .type = SRAT_X2APIC,
					 .length = sizeof(x),
					 .domain = numa_of_vcpu(machine->numa, i),
					 .apic_id = cpu_topology_apic_id(machine->topology, i),
					 .flags = SRAT_ENABLED };

		text_add_bytes(t, &x, sizeof(x));
	}
	for (unsigned i = 0; i < machine->numa->n; i++) {
		srat_node(t, m, i, at, machine->numa->nodes[i].size);
		at += machine->numa->nodes[i].size;
	}
	srat_memory(t, 0, m->hot.gpa, m->hot.len, SRAT_ENABLED | SRAT_HOT_PLUGGED);
	table_seal(t);
}

/* 5.2.17 */
static void slit_build(struct text *t, const struct numa *numa)
{
	struct table_header h = table_header("SLIT", 1);
	uint64_t n = numa->n;

	text_add_bytes(t, &h, sizeof(h));
	text_add_bytes(t, &n, sizeof(n));
	for (unsigned i = 0; i < numa->n; i++)
		text_add_bytes(t, numa->nodes[i].distance, numa->n);
	table_seal(t);
}

static void fadt_build(struct text *t, uint64_t dsdt)
{
	struct fadt f = { .h = table_header("FACP", 6),
			  .dsdt = (uint32_t)dsdt,
			  .x_dsdt = dsdt,
			  .pm_profile = 4, // enterprise server
			  .century = 0x32,
			  .iapc_boot_arch = BOOT_ARCH_LEGACY | BOOT_ARCH_NO_VGA,
			  .flags = FADT_RESET_REG | FADT_HEADLESS | FADT_HW_REDUCED,
			  .reset_reg = port(PM_PORT + PM_RESET, 1),
			  .reset_value = PM_RESET_VALUE,
			  .minor_version = 4,
			  .sleep_control = port(PM_PORT + PM_SLEEP_CTL, 1),
			  .sleep_status = port(PM_PORT + PM_SLEEP_STS, 1) };

	text_add_bytes(t, &f, sizeof(f));
	table_seal(t);
}

/* The tables as they are put together: they go to gpa, one behind the other. */
struct block {
	uint64_t gpa;
	struct text bytes;
	struct text list; /* the XSDT's: addresses of tables */
};

/* Appends a table and clears it; returns where it will be. */
static uint64_t block_add(struct block *b, struct text *table)
{
	uint64_t at = b->gpa + b->bytes.len;

	text_add_bytes(&b->bytes, text_str(table), table->len);
	while (b->bytes.len % 16 && !b->bytes.failed)
		text_add_bytes(&b->bytes, "", 1);
	b->bytes.failed |= table->failed;
	text_clear(table);
	return at;
}

/* Likewise, of one that the XSDT lists. */
static void block_list(struct block *b, struct text *table)
{
	uint64_t at = block_add(b, table);

	text_add_bytes(&b->list, &at, sizeof(at));
}

static void mcfg_build(struct text *t)
{
	struct table_header h = table_header("MCFG", 1);

	text_add_bytes(t, &h, sizeof(h));
	acpi_pci_mcfg(t);
	table_seal(t);
}

static void xsdt_build(struct text *t, const struct text *list)
{
	struct table_header h = table_header("XSDT", 1);

	text_add_bytes(t, &h, sizeof(h));
	text_add_bytes(t, text_str(list), list->len);
	t->failed |= list->failed;
	table_seal(t);
}

static struct rsdp rsdp_build(uint64_t xsdt)
{
	struct rsdp r = { .revision = 2, .length = sizeof(r), .xsdt = xsdt };

	memcpy(r.signature, "RSD PTR ", 8);
	memcpy(r.oem_id, OEM, 6);
	r.checksum = checksum(&r, 20); // the part that ACPI 1.0 knew
	r.extended_checksum = checksum(&r, sizeof(r));
	return r;
}

int acpi_build(const struct guestmem *m, const struct acpi_machine *machine, struct err *e)
{
	struct block b = { .gpa = ACPI_TABLES };
	struct text table = TEXT_INIT;
	struct rsdp rsdp;
	uint64_t dsdt;
	int r = 0;

	acpi_dsdt(&table, machine);
	dsdt = block_add(&b, &table);
	fadt_build(&table, dsdt);
	block_list(&b, &table);
	madt_build(&table, machine);
	block_list(&b, &table);
	if (machine->watchdog) {
		wdat_build(&table);
		block_list(&b, &table);
	}
	if (machine->numa && machine->numa->n) {
		srat_build(&table, m, machine);
		block_list(&b, &table);
		slit_build(&table, machine->numa);
		block_list(&b, &table);
	}
	if (machine->pci) {
		mcfg_build(&table);
		block_list(&b, &table);
	}
	xsdt_build(&table, &b.list);
	rsdp = rsdp_build(block_add(&b, &table));
	if (b.bytes.failed)
		r = err_sys(e, ENOMEM, "ACPI tables");
	else if (b.bytes.len > ACPI_GENID - ACPI_TABLES ||
		 guestmem_write(m, ACPI_TABLES, b.bytes.data, b.bytes.len) < 0 ||
		 guestmem_write(m, ACPI_RSDP, &rsdp, sizeof(rsdp)) < 0)
		r = err_set(e, -EINVAL, "the ACPI tables do not fit below 1 MiB");
	text_free(&table);
	text_free(&b.list);
	text_free(&b.bytes);
	return r;
}
