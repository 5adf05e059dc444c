/*
 * The tiny guest's entries. 64-bit: rsi is Linux's struct boot_params. 32-bit (PVH, only with
 * -DPVH): ebx is struct hvm_start_info. Both end in tiny_main(parameters, how entered). And the
 * 16-bit code that other vCPUs start with, which tiny.c copies to 0x8000.
 */
	.section .head, "awx"
	.globl	tiny_flat
	.org	0x1f0
tiny_flat:			/* the packer writes 1 here in the part outside of the payload */
	.byte	0
	.org	0x200
	.globl	_start
	.code64
_start:
	movabs	$stack_top, %rsp
	movq	%rsi, %rdi
	movzbl	tiny_flat, %esi
	call	tiny_main

#ifdef PVH
	.section .note.xen, "a", @note
	.align	4
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	pvh_start

	.text
	.code32
pvh_start:
	movl	$stack_top, %esp
	movl	$pd, %edi
	movl	$0x83, %eax
	movl	$2048, %ecx
1:	movl	%eax, (%edi)
	movl	$0, 4(%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b
	movl	$pd + 3, %eax
	movl	$pdpt, %edi
	movl	$4, %ecx
2:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	loop	2b
	movl	$pdpt + 3, %eax
	movl	%eax, pml4
	movl	$0x20, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	movl	$0x100, %eax
	xorl	%edx, %edx
	wrmsr
	lgdt	gdt_pointer
	movl	$0x80000011, %eax
	movl	%eax, %cr0
	ljmp	$0x10, $pvh64
	.code64
pvh64:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%ebx, %edi
	movl	$2, %esi
	call	tiny_main

	.align	8
gdt:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	31
	.long	gdt

	.bss
	.align	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4 * 4096	/* 4 GiB, 1:1 */
#endif

	.section .rodata
	.globl	ap_code, ap_code_end
	.code16
ap_code:
	xorw	%ax, %ax
	movw	%ax, %ds
	lock incl 0x8800	/* AP_COUNT in tiny.c */
1:	cli
	hlt
	jmp	1b
ap_code_end:

	.text
	.code64
	.globl	tiny_triple
tiny_triple:			/* no IDT: the fault of ud2 faults twice more */
	lidt	null_idt
	ud2
/* To real mode, by way of 16-bit code below 64 KiB, then to the reset vector. */
	.globl	tiny_bios
tiny_bios:
	cld
	movl	$bios_code, %esi
	movl	$0x8000, %edi
	movl	$bios_code_end - bios_code, %ecx
	rep movsb
	lgdt	bios_gdt_pointer
	pushq	$8
	pushq	$0x8000
	lretq
	.section .rodata
	.code16
bios_code:
	movl	%cr0, %eax
	andl	$0x7ffffffe, %eax	/* no paging, no protection */
	movl	%eax, %cr0
	ljmp	$0xf000, $0xfff0
bios_code_end:
	.align	8
bios_gdt:
	.quad	0, 0x00009b000000ffff	/* 16-bit code */
bios_gdt_pointer:
	.word	15
	.quad	bios_gdt
	.code64
null_idt:
	.word	0
	.quad	0

	.bss
	.align	16
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
