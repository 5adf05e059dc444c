/* The ACPI tables: checksums, what points where, and iasl's judgement where it is installed. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/acpi.h"
#include "vmm/boot.h"

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

static void test_tables(unsigned cpus)
{
	struct guestmem m;
	struct err e = { 0 };
	unsigned char *rsdp, *xsdt, *fadt, *madt, *dsdt;
	unsigned lapics = 0, x2apics = 0, ioapics = 0;

	if (guestmem_new(&m, 4 << 20, &e) < 0)
		abort();
	ok(acpi_build(&m, BOOT_ACPI, BOOT_1M - BOOT_ACPI, cpus, &e) == 0, "%u CPUs: built", cpus);
	rsdp = guestmem_range(&m, BOOT_ACPI, 36);
	ok(!memcmp(rsdp, "RSD PTR ", 8) && !sum(rsdp, 20) && !sum(rsdp, 36) && rsdp[15] == 2,
	   "%u CPUs: RSDP", cpus);
	xsdt = table(&m, le(rsdp + 24, 8), "XSDT");
	ok(xsdt && le(xsdt + 4, 4) == 36 + 16, "%u CPUs: XSDT with two tables", cpus);
	fadt = table(&m, le(xsdt + 36, 8), "FACP");
	madt = table(&m, le(xsdt + 44, 8), "APIC");
	ok(fadt && madt, "%u CPUs: FADT and MADT", cpus);
	dsdt = table(&m, le(fadt + 140, 8), "DSDT");
	ok(dsdt && le(fadt + 40, 4) == le(fadt + 140, 8), "%u CPUs: DSDT", cpus);
	ok(le(fadt + 120, 8) == 0xcf9 && fadt[128] == 6 && le(fadt + 248, 8) == 0x600,
	   "%u CPUs: reset and sleep registers", cpus);
	for (uint64_t at = 44; at < le(madt + 4, 4); at += madt[at + 1]) {
		if (madt[at + 1] < 2)
			break;
		lapics += madt[at] == 0 && madt[at + 3] == lapics && madt[at + 4] == 1;
		x2apics += madt[at] == 9;
		ioapics += madt[at] == 1;
	}
	ok(lapics == (cpus < 255 ? cpus : 255) && x2apics == cpus - lapics && ioapics == 1,
	   "%u CPUs: %u local APICs, %u x2APICs, %u IOAPIC", cpus, lapics, x2apics, ioapics);
	guestmem_free(&m);
}

static void test_room(void)
{
	struct guestmem m;
	struct err e = { 0 };

	if (guestmem_new(&m, 4 << 20, &e) < 0)
		abort();
	ok(acpi_build(&m, BOOT_ACPI, 512, 4, &e) == -EINVAL, "too little room: %s", e.text);
	ok(acpi_build(&m, (4 << 20) - 64, 1 << 20, 4, &e) == -EINVAL, "not in memory: %s", e.text);
	guestmem_free(&m);
}

/* iasl takes the AML apart and puts it together again; every name must be there. */
static void test_iasl(void)
{
	static const char *const wanted[] = { "Device (COM1)",	 "Device (RTC0)",
					      "Device (PWRB)",	 "Device (GED0)",
					      "PNP0501",	 "PNP0B00",
					      "PNP0C0C",	 "ACPI0013",
					      "Method (_EVT, 1", "Notify (\\_SB.PWRB, 0x80)",
					      "Name (\\_S5" };
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
	acpi_dsdt(&t);
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

int main(void)
{
	test_tables(1);
	test_tables(2);
	test_tables(255);
	test_tables(300);
	test_room();
	test_iasl();
	return tap_done();
}
