/* acpi_cpus: see acpi_cpus.h. */
#include "vmm/boot/acpi_cpus.h"

#include <stdio.h>

#include "vmm/board/cpuplug.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/aml.h"
#include "vmm/numa.h"

#define STA_PRESENT 0xf /* present, enabled, shown, works */

static void cpu_name(char name[5], unsigned vcpu)
{
	snprintf(name, 5, "C%03X", vcpu & 0xfff);
}

/* Registers are reached through the selector, so one at a time. */
static void begin(struct text *t)
{
	aml_acquire(t, "CLCK");
	aml_op(t, AML_STORE);
	aml_arg(t, 0);
	aml_path(t, "CSEL");
}

static void end(struct text *t)
{
	aml_op(t, AML_RELEASE);
	aml_path(t, "CLCK");
}

static void method(struct text *t, const char *name, unsigned args, struct text *body)
{
	aml_method(t, name, args, body);
	text_free(body);
}

/* CSTA (vcpu): its _STA. */
static void method_sta(struct text *t)
{
	struct text body = TEXT_INIT, present = TEXT_INIT;

	begin(&body);
	aml_op(&body, AML_STORE);
	aml_integer(&body, 0);
	aml_local(&body, 0);
	aml_op(&present, AML_AND);
	aml_path(&present, "CFLG");
	aml_integer(&present, CPUPLUG_PRESENT);
	aml_op(&present, AML_NOTHING);
	aml_op(&present, AML_STORE);
	aml_integer(&present, STA_PRESENT);
	aml_local(&present, 0);
	aml_if(&body, &present);
	end(&body);
	aml_op(&body, AML_RETURN);
	aml_local(&body, 0);
	method(t, "CSTA", 1, &body);
	text_free(&present);
}

/* CMAT (vcpu): its _MAT, an entry of the MADT (5.2.12.12) for one that was not there at boot. */
static void method_mat(struct text *t)
{
	static const uint8_t entry[16] = { 9, 16, [8] = 1 };
	struct text body = TEXT_INIT;

	begin(&body);
	aml_op(&body, AML_STORE);
	aml_path(&body, "CAPI");
	aml_local(&body, 1);
	end(&body);
	aml_op(&body, AML_STORE);
	aml_buffer(&body, entry, sizeof(entry));
	aml_local(&body, 0);
	aml_op(&body, AML_DWORD_FIELD);
	aml_local(&body, 0);
	aml_integer(&body, 4);
	aml_path(&body, "CMID");
	aml_op(&body, AML_DWORD_FIELD);
	aml_local(&body, 0);
	aml_integer(&body, 12);
	aml_path(&body, "CMUI");
	aml_op(&body, AML_STORE);
	aml_local(&body, 1);
	aml_path(&body, "CMID");
	aml_op(&body, AML_STORE);
	aml_arg(&body, 0);
	aml_path(&body, "CMUI");
	aml_op(&body, AML_RETURN);
	aml_local(&body, 0);
	method(t, "CMAT", 1, &body);
}

/* CEJ0 (vcpu): the guest gives it back. */
static void method_eject(struct text *t)
{
	struct text body = TEXT_INIT;

	begin(&body);
	aml_op(&body, AML_STORE);
	aml_integer(&body, CPUPLUG_EJECT);
	aml_path(&body, "CFLG");
	end(&body);
	method(t, "CEJ0", 1, &body);
}

/* CTFY (vcpu, value): Notify, whose object is not a variable. */
static void method_notify(struct text *t, unsigned cpus)
{
	struct text body = TEXT_INIT, one = TEXT_INIT;
	char name[5];

	for (unsigned i = 0; i < cpus; i++) {
		cpu_name(name, i);
		text_clear(&one);
		aml_op(&one, AML_EQUAL);
		aml_arg(&one, 0);
		aml_integer(&one, i);
		aml_op(&one, AML_NOTIFY);
		aml_path(&one, name);
		aml_arg(&one, 1);
		aml_if(&body, &one);
	}
	method(t, "CTFY", 2, &body);
	text_free(&one);
}

static void notify_if(struct text *t, unsigned flag, unsigned value)
{
	struct text body = TEXT_INIT;

	aml_op(&body, AML_AND);
	aml_local(&body, 1);
	aml_integer(&body, flag);
	aml_op(&body, AML_NOTHING);
	aml_path(&body, "CTFY");
	aml_local(&body, 0);
	aml_integer(&body, value);
	aml_if(t, &body);
	text_free(&body);
}

/* CSCN: takes events until there is none: 1 (device check) or 3 (eject request) to each vCPU. */
static void method_scan(struct text *t)
{
	struct text body = TEXT_INIT, loop = TEXT_INIT, none = TEXT_INIT;

	aml_acquire(&body, "CLCK");
	aml_integer(&loop, 1);
	aml_op(&loop, AML_STORE);
	aml_path(&loop, "CNXT");
	aml_local(&loop, 0);
	aml_op(&none, AML_EQUAL);
	aml_local(&none, 0);
	aml_integer(&none, 0xffffffff);
	aml_op(&none, AML_BREAK);
	aml_if(&loop, &none);
	aml_op(&loop, AML_STORE);
	aml_local(&loop, 0);
	aml_path(&loop, "CSEL");
	aml_op(&loop, AML_STORE);
	aml_path(&loop, "CFLG");
	aml_local(&loop, 1);
	aml_op(&loop, AML_AND);
	aml_local(&loop, 1);
	aml_integer(&loop, CPUPLUG_COMES | CPUPLUG_GOES);
	aml_path(&loop, "CFLG");
	notify_if(&loop, CPUPLUG_COMES, 1);
	notify_if(&loop, CPUPLUG_GOES, 3);
	aml_while(&body, &loop);
	end(&body);
	method(t, "CSCN", 0, &body);
	text_free(&none);
	text_free(&loop);
}

/* Method (name, args) { Return (callee (vcpu)) } */
static void method_forward(struct text *t, const char *name, unsigned args, const char *callee,
			   unsigned vcpu)
{
	struct text body = TEXT_INIT;

	if (args == 0)
		aml_op(&body, AML_RETURN);
	aml_path(&body, callee);
	aml_integer(&body, vcpu);
	method(t, name, args, &body);
}

static void cpu_device(struct text *t, const struct acpi_machine *machine, unsigned vcpu)
{
	struct text dev = TEXT_INIT;
	char name[5];

	cpu_name(name, vcpu);
	aml_name(&dev, "_HID");
	aml_string(&dev, "ACPI0007");
	aml_name(&dev, "_UID");
	aml_integer(&dev, vcpu);
	method_forward(&dev, "_STA", 0, "CSTA", vcpu);
	method_forward(&dev, "_MAT", 0, "CMAT", vcpu);
	if (machine->numa && machine->numa->n) {
		aml_name(&dev, "_PXM");
		aml_integer(&dev, numa_of_vcpu(machine->numa, vcpu));
	}
	if (vcpu > 0)
		method_forward(&dev, "_EJ0", 1, "CEJ0", vcpu);
	aml_device(t, name, &dev);
	text_free(&dev);
}

void acpi_cpus(struct text *t, const struct acpi_machine *machine)
{
	static const char *const words[] = { "CSEL", NULL, "CAPI", "CNXT" };
	static const char *const bytes[] = { NULL, NULL, NULL, NULL, "CFLG" };
	struct text dev = TEXT_INIT;

	aml_name(&dev, "_HID");
	aml_string(&dev, "ACPI0010");
	aml_name(&dev, "_CID");
	aml_eisaid(&dev, "PNP0A05");
	aml_io_region(&dev, "CPRG", CPUPLUG_PORT, CPUPLUG_PORTS);
	aml_field(&dev, "CPRG", 32, 4, words);
	aml_field(&dev, "CPRG", 8, 5, bytes);
	aml_mutex(&dev, "CLCK");
	method_sta(&dev);
	method_mat(&dev);
	method_eject(&dev);
	method_notify(&dev, machine->cpus);
	method_scan(&dev);
	for (unsigned i = 0; i < machine->cpus; i++)
		cpu_device(&dev, machine, i);
	aml_device(t, "CPUS", &dev);
	text_free(&dev);
}
