/* acpi_pci: see acpi_pci.h. */
#include "vmm/boot/acpi_pci.h"

#include <stdio.h>

#include "vmm/boot/aml.h"
#include "vmm/numa.h"
#include "vmm/pci/pci.h"

#define NOTIFY_BUS_CHECK 0x01
#define NOTIFY_EJECT	 0x03

static void slot_name(char *name, size_t len, const char *before, unsigned slot)
{
	snprintf(name, len, "%sSL%02X", before, slot);
}

static void pci_slot(struct text *t, unsigned slot)
{
	struct text dev = TEXT_INIT, eject = TEXT_INIT;
	char name[16];

	aml_name(&dev, "_ADR");
	aml_integer(&dev, (uint64_t)slot << 16);
	aml_name(&dev, "_SUN");
	aml_integer(&dev, slot);
	aml_op(&eject, AML_STORE);
	aml_integer(&eject, 1ull << slot);
	aml_path(&eject, "EJCT");
	aml_method(&dev, "_EJ0", 1, &eject);
	slot_name(name, sizeof(name), "", slot);
	aml_device(t, name, &dev);
	text_free(&eject);
	text_free(&dev);
}

/* Reads which slots have news, which clears them, and tells each. */
static void pci_events(struct text *t)
{
	static const struct {
		const char *reg;
		uint8_t value;
	} news[] = { { "PLUG", NOTIFY_BUS_CHECK }, { "ASKD", NOTIFY_EJECT } };
	struct text body = TEXT_INIT;
	char path[32];

	for (size_t i = 0; i < sizeof(news) / sizeof(news[0]); i++) {
		aml_local0_set(&body, news[i].reg);
		for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
			slot_name(path, sizeof(path), "\\_SB_.PCI0.", slot);
			aml_notify_if_local0(&body, 1u << slot, path, news[i].value);
		}
	}
	aml_method(t, "SCAN", 0, &body);
	text_free(&body);
}

static void pci_resources(struct text *t, uint64_t window64)
{
	struct text res = TEXT_INIT;

	aml_res_buses(&res, 0, 0);
	aml_res_io(&res, PCI_CONFIG_PORT, PCI_CONFIG_PORTS);
	aml_res_window32(&res, PCI_WINDOW32, PCI_WINDOW32_LEN);
	if (window64)
		aml_res_window64(&res, window64, PCI_WINDOW64_LEN);
	aml_name(t, "_CRS");
	aml_resources(t, &res);
	text_free(&res);
}

/* Linux uses no ECAM that a motherboard resource does not claim. */
static void pci_ecam(struct text *sb)
{
	struct text dev = TEXT_INIT, res = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_eisaid(&dev, "PNP0C02");
	aml_res_memory32(&res, PCI_ECAM_BASE, PCI_ECAM_LEN);
	aml_name(&dev, "_CRS");
	aml_resources(&dev, &res);
	aml_device(sb, "MB00", &dev);
	text_free(&res);
	text_free(&dev);
}

void acpi_pci(struct text *sb, const struct acpi_machine *machine)
{
	static const char *const fields[] = { "PLUG", "ASKD", "EJCT" };
	struct text dev = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_eisaid(&dev, "PNP0A03");
	aml_name(&dev, "_UID");
	aml_integer(&dev, 0);
	if (machine->numa && machine->numa->n) { // the loop that serves them is on no node
		aml_name(&dev, "_PXM");
		aml_integer(&dev, 0);
	}
	pci_resources(&dev, machine->window64);
	aml_io_region(&dev, "HPRG", PCI_HOTPLUG_PORT, PCI_HOTPLUG_PORTS);
	aml_field(&dev, "HPRG", 32, 3, fields);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
		pci_slot(&dev, slot);
	pci_events(&dev);
	aml_device(sb, "PCI0", &dev);
	text_free(&dev);
	pci_ecam(sb);
}

void acpi_pci_mcfg(struct text *t)
{
	struct {
		uint64_t reserved;
		uint64_t base;
		uint16_t segment;
		uint8_t first_bus, last_bus;
		uint32_t reserved2;
	} __attribute__((packed)) body = { .base = PCI_ECAM_BASE };

	text_add_bytes(t, &body, sizeof(body));
}
