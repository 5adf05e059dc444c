/*
 * Messages that interrupt (Intel's manual, volume 3, 11.11), as a guest writes them into an
 * IOAPIC's entry or a function's MSI-X table, and as KVM takes them.
 *
 * A guest that was told of KVM_FEATURE_MSI_EXT_DEST_ID puts bits 8 to 14 of the APIC id into bits 5
 * to 11 of the address; KVM wants them in the upper half (KVM_CAP_X2APIC_API).
 */
#ifndef VMM_BOARD_MSI_H
#define VMM_BOARD_MSI_H

#include <linux/kvm.h>
#include <stdint.h>

static inline uint64_t msi_address_for_kvm(uint64_t address)
{
	uint32_t high = (uint32_t)(address >> 5 & 0x7f) << 8;

	return (address & 0xfffff01full) | (uint64_t)high << 32;
}

static inline struct kvm_msi msi_for_kvm(uint64_t address, uint32_t data)
{
	uint64_t to = msi_address_for_kvm(address);

	return (struct kvm_msi){ .address_lo = (uint32_t)to,
				 .address_hi = (uint32_t)(to >> 32),
				 .data = data };
}

#endif
