/* acpi: see acpi.h. */
#include "vmm/acpi.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/aml.h"
#include "vmm/pm.h"
#include "vmm/rtc.h"
#include "vmm/uart.h"

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

static void dsdt_power_button(struct text *t)
{
	struct text dev = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_eisaid(&dev, "PNP0C0C");
	aml_device(t, "PWRB", &dev);
	text_free(&dev);
}

/* The Generic Event Device (5.6.9): its interrupt runs _EVT, which reads and spreads the events. */
static void dsdt_events(struct text *t)
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

void acpi_dsdt(struct text *t)
{
	struct table_header h = table_header("DSDT", 6);
	struct text sb = TEXT_INIT;

	text_add_bytes(t, &h, sizeof(h));
	dsdt_serial(&sb);
	dsdt_rtc(&sb);
	dsdt_power_button(&sb);
	dsdt_events(&sb);
	aml_scope(t, "\\_SB_", &sb);
	dsdt_s5(t);
	text_free(&sb);
	table_seal(t);
}

static void madt_build(struct text *t, unsigned cpus)
{
	struct madt m = { .h = table_header("APIC", 5), .lapic = ACPI_LAPIC_BASE };
	struct madt_ioapic io = { .type = MADT_IOAPIC,
				  .length = sizeof(io),
				  .address = ACPI_IOAPIC_BASE };
	struct madt_lapic_nmi nmi = {
		.type = MADT_LAPIC_NMI, .length = sizeof(nmi), .uid = 0xff, .lint = 1
	};

	text_add_bytes(t, &m, sizeof(m));
	for (unsigned i = 0; i < cpus; i++) {
		struct madt_lapic l = { .type = MADT_LAPIC, .length = sizeof(l), .flags = 1 };
		struct madt_x2apic x = { .type = MADT_X2APIC, .length = sizeof(x), .flags = 1 };

		l.uid = l.apic_id = (uint8_t)i;
		x.uid = x.apic_id = i;
		if (i < 255) // an 8-bit id of 255 means all
			text_add_bytes(t, &l, sizeof(l));
		else
			text_add_bytes(t, &x, sizeof(x));
	}
	text_add_bytes(t, &io, sizeof(io));
	text_add_bytes(t, &nmi, sizeof(nmi));
	table_seal(t);
}

static struct gas port_byte(uint16_t port)
{
	return (struct gas){ .space = 1, .bits = 8, .access = 1, .address = port };
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
			  .reset_reg = port_byte(PM_RESET_PORT),
			  .reset_value = PM_RESET_VALUE,
			  .minor_version = 4,
			  .sleep_control = port_byte(PM_PORT + PM_SLEEP_CTL),
			  .sleep_status = port_byte(PM_PORT + PM_SLEEP_STS) };

	text_add_bytes(t, &f, sizeof(f));
	table_seal(t);
}

static void xsdt_build(struct text *t, uint64_t fadt, uint64_t madt)
{
	struct table_header h = table_header("XSDT", 1);

	text_add_bytes(t, &h, sizeof(h));
	text_add_bytes(t, &fadt, sizeof(fadt));
	text_add_bytes(t, &madt, sizeof(madt));
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

/* Appends a table to the block that goes to gpa; returns where it will be. */
static uint64_t block_add(struct text *block, uint64_t gpa, struct text *table)
{
	uint64_t at = gpa + block->len;

	text_add_bytes(block, text_str(table), table->len);
	while (block->len % 16 && !block->failed)
		text_add_bytes(block, "", 1);
	block->failed |= table->failed;
	text_clear(table);
	return at;
}

int acpi_build(const struct guestmem *m, uint64_t gpa, uint64_t room, unsigned cpus, struct err *e)
{
	struct text block = TEXT_INIT, table = TEXT_INIT;
	struct rsdp rsdp = { 0 };
	uint64_t dsdt, fadt, madt, xsdt;
	int r = 0;

	text_add_bytes(&block, &rsdp, sizeof(rsdp));
	while (block.len % 16 && !block.failed)
		text_add_bytes(&block, "", 1);
	acpi_dsdt(&table);
	dsdt = block_add(&block, gpa, &table);
	fadt_build(&table, dsdt);
	fadt = block_add(&block, gpa, &table);
	madt_build(&table, cpus);
	madt = block_add(&block, gpa, &table);
	xsdt_build(&table, fadt, madt);
	xsdt = block_add(&block, gpa, &table);
	if (block.failed) {
		r = err_sys(e, ENOMEM, "ACPI tables");
	} else {
		rsdp = rsdp_build(xsdt);
		memcpy(block.data, &rsdp, sizeof(rsdp));
		if (block.len > room || guestmem_write(m, gpa, block.data, block.len) < 0)
			r = err_set(e, -EINVAL, "the ACPI tables do not fit below 1 MiB");
	}
	text_free(&table);
	text_free(&block);
	return r;
}
