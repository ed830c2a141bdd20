/* SPDX-License-Identifier: GPL-2.0-only */
/* Model-specific registers that slat keeps, and the TSC. */
#ifndef SLAT_MSR_H
#define SLAT_MSR_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/types.h>

#include "locks.h"

struct slat_vcpu;
struct slat_vm;

#define SLAT_MTRR_VAR	8	/* variable ranges */
#define SLAT_MTRR_FIXED	11	/* MSRs of fixed ranges */

/* Of slat_mtrrs.def_type: on; and the fixed ranges, too. */
#define SLAT_MTRR_E	BIT(11)
#define SLAT_MTRR_FE	BIT(10)
#define SLAT_MCE_BANKS	32

/**
 * struct slat_mtrrs - memory type range registers
 * @var:	base and mask by turns
 * @fixed:	from 0 upwards
 * @def_type:	type of what no range covers, and what is enabled
 */
struct slat_mtrrs {
	u64 var[2 * SLAT_MTRR_VAR];
	u64 fixed[SLAT_MTRR_FIXED];
	u64 def_type;
};

/**
 * struct slat_mce - machine check registers
 * @cap:	the number of banks in bits 0-7, and what there is
 * @status:	of the machine check under way
 * @ctl:	all ones or 0
 * @banks:	control, status, address, details of each
 */
struct slat_mce {
	u64 cap;
	u64 status;
	u64 ctl;
	u64 banks[4 * SLAT_MCE_BANKS];
};

/**
 * struct slat_msrs - MSRs without a meaning to the CPU that runs the guest
 * @tsc_aux:	what RDTSCP and RDPID read
 * @tsc_adjust:	how far the guest moved its TSC
 * @misc_enable: of Intel's CPUs, but KVM has it everywhere
 * @platform_info: likewise; for the VMM alone to set
 * @misc_features: likewise: whether CPUID faults outside of the guest's kernel
 * @ucode_rev:	microcode revision
 * @hwcr:	AMD's hardware configuration
 * @de_cfg:	AMD's decoder configuration
 * @vm_hsave:	where a guest lets its CPU keep the host's state; slat keeps it elsewhere
 * @vm_cr:	AMD's switch of SVM
 * @power_ctl:	kept, nothing more
 * @osvw_length: AMD's workarounds ...
 * @osvw_status: ... for an operating system to know of
 * @mtrrs:	memory types
 * @mce:	machine checks
 */
struct slat_msrs {
	u32 tsc_aux;
	u64 tsc_adjust;
	u64 misc_enable;
	u64 platform_info;
	u64 misc_features;
	u64 ucode_rev;
	u64 hwcr;
	u64 de_cfg;
	u64 vm_hsave;
	u64 vm_cr;
	u64 power_ctl;
	u64 osvw_length;
	u64 osvw_status;
	struct slat_mtrrs mtrrs;
	struct slat_mce mce;
};

#define SLAT_HWCR_MC_STATUS_WRITABLE	BIT_ULL(18)

/* All that take a vCPU, unless they say otherwise: vcpu->mutex held. */

/** slat_msrs_init() - what a new vCPU's MSRs hold. */
void slat_msrs_init(struct slat_vcpu *vcpu);

/**
 * slat_msr_get() - read an MSR
 * @guest:	the guest reads, not the VMM
 * Return: 0; -ENOENT for one that slat does not know; -EINVAL for one that this
 * guest does not have.
 */
int slat_msr_get(struct slat_vcpu *vcpu, u32 index, u64 *value, bool guest);

/**
 * slat_msr_set() - write an MSR
 * @guest:	the guest writes, not the VMM: only what the architecture allows
 * Return: 0; -ENOENT for one that slat does not know; -EINVAL for a value that is
 * not allowed.
 */
int slat_msr_set(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest);

/** slat_msr_get_feature() - an MSR that tells of the host.  Return: 0 or -ENOENT. */
int slat_msr_get_feature(u32 index, u64 *value);

/** slat_apic_base_valid() - may the APIC base MSR hold @value? */
bool slat_apic_base_valid(struct slat_vcpu *vcpu, u64 value);

/** slat_pat_valid() - may the PAT hold @value? */
bool slat_pat_valid(u64 value);

/**
 * slat_mtrr_get() - slat_msr_get() for MTRRs
 * Return: 0; -ENOENT: not one of them.
 */
int slat_mtrr_get(struct slat_vcpu *vcpu, u32 index, u64 *value);

/**
 * slat_mtrr_set() - slat_msr_set() for MTRRs
 *
 * Where they count, no CPU uses the old types any more when it returns.
 * Return: 0; -ENOENT: not one of them; -EINVAL: reserved bits, no such type.
 */
int slat_mtrr_set(struct slat_vcpu *vcpu, u32 index, u64 value);

/**
 * slat_mce_get() - slat_msr_get() for the registers of machine checks
 * Return: 0; -EINVAL: the guest does not have it.
 */
int slat_mce_get(struct slat_vcpu *vcpu, u32 index, u64 *value, bool guest);

/**
 * slat_mce_set() - slat_msr_set() for the registers of machine checks
 * Return: 0; -EINVAL: the guest does not have it, or it cannot hold the value.
 */
int slat_mce_set(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest);

/**
 * slat_mce_cap_supported() - what KVM_X86_SETUP_MCE takes of the capability besides the
 * count of banks
 */
u64 slat_mce_cap_supported(void);

/** slat_mce_setup() - KVM_X86_SETUP_MCE.  Return: 0 or -EINVAL. */
int slat_mce_setup(struct slat_vcpu *vcpu, u64 cap);

/**
 * slat_mce_inject() - KVM_X86_SET_MCE
 *
 * An uncorrected error raises #MC, or a shutdown where a CPU shuts down.
 * Return: 0; -EINVAL: no such bank, or @mce is not marked valid.
 */
int slat_mce_inject(struct slat_vcpu *vcpu, const struct kvm_x86_mce *mce);

/**
 * struct slat_msr_access - RDMSR or WRMSR that the VMM completes
 * @write:	which
 * @rip:	of it
 * @next_rip:	of the next instruction
 */
struct slat_msr_access {
	bool write;
	u64 rip;
	u64 next_rip;
};

/**
 * slat_msr_exit() - the guest executed RDMSR or WRMSR
 * Return: as slat_exit_handle().
 */
int slat_msr_exit(struct slat_vcpu *vcpu, bool write, u64 next_rip);

/**
 * slat_msr_filter_set() - KVM_X86_SET_MSR_FILTER
 * @user:	copied in, but for its bitmaps; nothing checked
 *
 * Holds for every access that begins after the call.
 * Context: process; takes vm->lock.
 * Return: 0; -EINVAL: unknown flags, a range without flags or with too many MSRs,
 * all denied without a range; -EFAULT, -ENOMEM.
 */
int slat_msr_filter_set(struct slat_vm *vm, const struct kvm_msr_filter *user);

/** slat_msr_filter_free() - the VM is gone. */
void slat_msr_filter_free(struct slat_vm *vm);

/* The lists of KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST. */
struct slat_msr_list {
	const u32 *index;
	u32 nr;
};

/** slat_msr_list() - the MSRs that a VMM has to move on this machine */
struct slat_msr_list slat_msr_list(void);
extern const struct slat_msr_list slat_msr_feature_list;

/* The TSC: the host's plus an offset. */

/**
 * struct slat_tsc - what the vCPUs of a VM have in common
 * @lock:	of the rest.  Nothing is taken inside
 * @offset:	that the VMM's last write of a TSC led to
 * @written:	its value
 * @ns:		its time; 0: none yet
 */
struct slat_tsc {
	struct slat_spinlock lock;
	u64 offset;
	u64 written;
	u64 ns;
};

/** slat_tsc_get() - what the guest's TSC reads now. */
u64 slat_tsc_get(struct slat_vcpu *vcpu);

/**
 * slat_tsc_sync() - the VMM writes the TSC
 *
 * VMMs bring up, or restore, the vCPUs one after the other, and mean the same
 * TSC: a write of 0, or of what the last one would have become within a second,
 * takes the last one's offset.
 */
void slat_tsc_sync(struct slat_vcpu *vcpu, u64 value);

/** slat_tsc_set_offset() - the VMM sets it as an offset to the host's */
void slat_tsc_set_offset(struct slat_vcpu *vcpu, u64 offset);

/** slat_tsc_khz_valid() - can a guest's TSC run at this frequency? */
bool slat_tsc_khz_valid(u32 khz);

#endif
