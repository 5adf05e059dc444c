/* The ACPI tables: checksums, what points where, and iasl's judgement where it is installed. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot/acpi.h"
#include "vmm/boot/boot.h"
#include "vmm/numa.h"
#include "vmm/pci/pci.h"

static uint8_t sum(const unsigned char *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static uint64_t le(const unsigned char *p, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes);
	return v;
}

/* The table at gpa if its length and checksum are right. */
static unsigned char *table(struct guestmem *m, uint64_t gpa, const char *signature)
{
	unsigned char *t = guestmem_range(m, gpa, 36);

	if (!t || memcmp(t, signature, 4) || !guestmem_range(m, gpa, le(t + 4, 4)) ||
	    sum(t, le(t + 4, 4)))
		return NULL;
	return t;
}

static void test_tables(unsigned cpus, unsigned present)
{
	struct guestmem m;
	struct err e = { 0 };
	unsigned char *rsdp, *xsdt, *fadt, *madt, *dsdt, *mcfg;
	unsigned lapics = 0, x2apics = 0, ioapics = 0;
	struct cpu_topology topology = { 1, cpus, 1 };
	struct acpi_machine machine = { .cpus = cpus, .present = present, .topology = &topology };

	if (guestmem_new(&m, 4 << 20, &e) < 0)
		abort();
	ok(acpi_build(&m, &machine, &e) == 0, "%u CPUs: built", cpus);
	rsdp = guestmem_range(&m, ACPI_RSDP, 36);
	ok(!memcmp(rsdp, "RSD PTR ", 8) && !sum(rsdp, 20) && !sum(rsdp, 36) && rsdp[15] == 2,
	   "%u CPUs: RSDP", cpus);
	xsdt = table(&m, le(rsdp + 24, 8), "XSDT");
	ok(xsdt && le(xsdt + 4, 4) == 36 + 16, "%u CPUs: XSDT with two tables", cpus);
	fadt = table(&m, le(xsdt + 36, 8), "FACP");
	madt = table(&m, le(xsdt + 44, 8), "APIC");
	ok(fadt && madt, "%u CPUs: FADT and MADT", cpus);
	dsdt = table(&m, le(fadt + 140, 8), "DSDT");
	ok(dsdt && le(fadt + 40, 4) == le(fadt + 140, 8), "%u CPUs: DSDT", cpus);
	ok(le(fadt + 120, 8) == 0x603 && fadt[128] == 6 && le(fadt + 248, 8) == 0x600,
	   "%u CPUs: reset and sleep registers", cpus);
	for (uint64_t at = 44; at < le(madt + 4, 4); at += madt[at + 1]) {
		if (madt[at + 1] < 2)
			break;
		lapics += madt[at] == 0 && madt[at + 3] == lapics &&
			  madt[at + 4] == (lapics < present ? 1 : 2);
		x2apics += madt[at] == 9;
		ioapics += madt[at] == 1;
	}
	ok(lapics == (cpus < 255 ? cpus : 255) && x2apics == cpus - lapics && ioapics == 1,
	   "%u CPUs: %u local APICs, %u x2APICs, %u IOAPIC", cpus, lapics, x2apics, ioapics);
	machine.pci = true;
	acpi_build(&m, &machine, &e);
	xsdt = table(&m, le(rsdp + 24, 8), "XSDT");
	mcfg = xsdt && le(xsdt + 4, 4) == 36 + 24 ? table(&m, le(xsdt + 52, 8), "MCFG") : NULL;
	ok(mcfg && le(mcfg + 44, 8) == PCI_ECAM_BASE && le(mcfg + 54, 2) == 0,
	   "%u CPUs: with PCI an MCFG, one bus", cpus);
	guestmem_free(&m);
}

static const struct cpu_topology two_by_two = { 1, 2, 2 };
static const struct acpi_machine machine = { .cpus = 4,
					     .present = 2,
					     .topology = &two_by_two,
					     .pci = true,
					     .window64 = 1ull << 38,
					     .uart = true };

static void test_room(void)
{
	static const struct cpu_topology topology = { 1, 4000, 1 };
	static const struct acpi_machine huge = { .cpus = 4000, .topology = &topology };
	struct guestmem m;
	struct err e = { 0 };

	if (guestmem_new(&m, 4 << 20, &e) < 0)
		abort();
	ok(acpi_build(&m, &huge, &e) == -EINVAL, "too little room: %s", e.text);
	guestmem_free(&m);
	if (guestmem_new(&m, 512 << 10, &e) < 0)
		abort();
	ok(acpi_build(&m, &machine, &e) == -EINVAL, "not in memory: %s", e.text);
	guestmem_free(&m);
}

/* iasl takes the AML apart and puts it together again; every name must be there. */
static void test_iasl(void)
{
	static const char *const wanted[] = { "Device (COM1)",
					      "Device (RTC0)",
					      "Device (PWRB)",
					      "Device (GED0)",
					      "PNP0501",
					      "PNP0B00",
					      "PNP0C0C",
					      "ACPI0013",
					      "ACPI0010",
					      "Device (C000)",
					      "Device (C003)",
					      "ACPI0007",
					      "Method (_EJ0, 1",
					      "Method (_MAT, 0",
					      "CSCN ()",
					      "Notify (C003, Arg1)",
					      "Method (_EVT, 1",
					      "Notify (\\_SB.PWRB, 0x80)",
					      "Name (\\_S5",
					      "Device (PCI0)",
					      "PNP0A03",
					      "Device (SL1F)",
					      "Notify (\\_SB.PCI0.SL02, One)",
					      "Notify (\\_SB.PCI0.SL03, 0x03)",
					      "EJCT = 0x80000000",
					      "\\_SB.PCI0.SCAN ()",
					      "0x0000004000000000, // Range Minimum" };
	char dir[] = "/tmp/vmm_acpi.XXXXXX", command[256], dsl[65536] = "";
	struct text t = TEXT_INIT;
	int fd;
	FILE *f;

	if (system("command -v iasl >/dev/null 2>&1") != 0) {
		printf("# iasl is not installed: the DSDT is not judged\n");
		return;
	}
	if (!mkdtemp(dir) || chdir(dir) < 0)
		abort();
	acpi_dsdt(&t, &machine);
	fd = open("dsdt.aml", O_WRONLY | O_CREAT, 0600);
	ok(!text_failed(&t) && write(fd, t.data, t.len) == (ssize_t)t.len, "the DSDT has %zu bytes",
	   t.len);
	close(fd);
	ok(system("iasl -d dsdt.aml >out 2>&1 && iasl -we -p again dsdt.dsl >>out 2>&1") == 0,
	   "iasl takes it apart and compiles it again without a warning");
	f = fopen("dsdt.dsl", "r");
	if (f) {
		dsl[fread(dsl, 1, sizeof(dsl) - 1, f)] = 0;
		fclose(f);
	}
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		ok(strstr(dsl, wanted[i]) != NULL, "it has %s", wanted[i]);
	text_free(&t);
	snprintf(command, sizeof(command), "%s%s", getenv("KEEP") ? "echo " : "rm -rf ", dir);
	if (system(command) != 0)
		printf("# %s stays\n", dir);
}

/* Which table of the XSDT has this signature. */
static unsigned char *listed(struct guestmem *m, const char *signature)
{
	unsigned char *xsdt = table(m, le(guestmem_range(m, ACPI_RSDP + 24, 8), 8), "XSDT");

	for (uint64_t at = 36; xsdt && at < le(xsdt + 4, 4); at += 8) {
		unsigned char *t = table(m, le(xsdt + at, 8), signature);

		if (t)
			return t;
	}
	return NULL;
}

/* Two nodes whose border is not the hole's, and memory that may come: 5 GiB of addresses alone. */
static void test_numa(void)
{
	const uint64_t gib = 1 << 30;
	struct part parts[2] = { 0 };
	struct machine_config c = { .memory_size = 5 * gib };
	struct guestmem_want want = { .size = 5 * gib, .possible = 6 * gib };
	struct acpi_machine with = machine;
	unsigned char *srat, *slit;
	struct numa numa;
	struct guestmem m;
	struct err e = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		snprintf(parts[i].name, sizeof(parts[i].name), "%u", i);
		parts[i].numa.cpus = (char *)(i ? "1,3" : "0,2");
		parts[i].numa.size = i ? gib : 4 * gib;
	}
	c.parts[PART_NUMA] = (struct parts){ 2, parts };
	with.numa = &numa;
	if (numa_settle(&c, 4, &numa, &e) < 0 || guestmem_make(&m, &want, &e) < 0) {
		printf("# NUMA: %s\n", e.text);
		return;
	}
	ok(acpi_build(&m, &with, &e) == 0, "NUMA: built");
	srat = listed(&m, "SRAT");
	slit = listed(&m, "SLIT");
	ok(srat && slit && le(slit + 36, 8) == 2 && !memcmp(slit + 44, "\12\24\24\12", 4),
	   "NUMA: SRAT and SLIT");
	ok(srat && le(srat + 4, 4) == 48 + 4 * 24 + 4 * 40, "NUMA: 4 vCPUs, 4 ranges");
	for (unsigned i = 0; srat && i < 4; i++)
		ok(srat[48 + 24 * i] == 2 && le(srat + 48 + 24 * i + 4, 4) == i % 2 &&
			   le(srat + 48 + 24 * i + 8, 4) == i,
		   "NUMA: vCPU %u is on node %u", i, i % 2);
	for (unsigned i = 0; srat && i < 4; i++) {
		static const uint64_t base[] = { 0, 4, 5, 6 }, len[] = { 3, 1, 1, 1 };
		const unsigned char *r = srat + 48 + 4 * 24 + 40 * i;

		ok(le(r + 8, 8) == base[i] * gib && le(r + 16, 8) == len[i] * gib &&
			   le(r + 2, 4) == (i == 2) && le(r + 28, 4) == (i == 3 ? 3 : 1),
		   "NUMA: range %u of memory", i);
	}
	guestmem_free(&m);
}

int main(void)
{
	test_tables(1, 1);
	test_tables(2, 2);
	test_tables(255, 8);
	test_tables(300, 3);
	test_tables(1024, 1024);
	test_room();
	test_numa();
	test_iasl();
	return tap_done();
}
