// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMSR and WRMSR of the guest: which the VMM allows, and those that end in the VMM
 * rather than in #GP.
 */
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/traps.h>

#include "user.h"
#include "vcpu.h"

struct msr_range {
	u32 base;
	u32 nr;
	u32 flags;
	const unsigned long *allowed;
};

/**
 * struct slat_msr_filter - never changed once the VM has it
 * @rcu:	frees it
 * @default_allow: what no range has
 * @nr:		of ranges
 * @ranges:	the first that fits decides
 * @bits:	of all ranges
 */
struct slat_msr_filter {
	struct rcu_head rcu;
	bool default_allow;
	unsigned int nr;
	struct msr_range ranges[KVM_MSR_FILTER_MAX_RANGES];
	unsigned long bits[];
};

static bool range_valid(const struct kvm_msr_filter_range *range)
{
	const u32 flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;

	return range->flags && !(range->flags & ~flags) &&
	       BITS_TO_LONGS((u64)range->nmsrs) * sizeof(long) <= KVM_MSR_FILTER_MAX_BITMAP_SIZE;
}

/* Longs of all bitmaps; 0 for none, or -EINVAL. */
static long filter_size(const struct kvm_msr_filter *user)
{
	long longs = 0;
	unsigned int i;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(user->ranges); i++) {
		if (!user->ranges[i].nmsrs)
			continue;
		if (!range_valid(&user->ranges[i]))
			return -EINVAL;
		longs += BITS_TO_LONGS(user->ranges[i].nmsrs);
	}
	/* Nothing at all allowed: no guest could run. */
	if (!longs && (user->flags & KVM_MSR_FILTER_DEFAULT_DENY))
		return -EINVAL;
	return longs;
}

static int fill(struct slat_msr_filter *filter, const struct kvm_msr_filter *user)
{
	unsigned long *bits = filter->bits;
	unsigned int i;

	filter->default_allow = !(user->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < ARRAY_SIZE(user->ranges); i++) {
		const struct kvm_msr_filter_range *from = &user->ranges[i];
		const unsigned int longs = BITS_TO_LONGS(from->nmsrs);

		if (!longs)
			continue;
		if (slat_copy_from_user(bits, (void __user *)from->bitmap, longs * sizeof(long)))
			return -EFAULT;
		filter->ranges[filter->nr++] = (struct msr_range) {
			.base = from->base, .nr = from->nmsrs, .flags = from->flags,
			.allowed = bits,
		};
		bits += longs;
	}
	return 0;
}

int slat_msr_filter_set(struct slat_vm *vm, const struct kvm_msr_filter *user)
{
	const long longs = filter_size(user);
	struct slat_msr_filter *filter;
	int ret;

	if (longs < 0)
		return longs;
	filter = kvzalloc(struct_size(filter, bits, longs), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return -ENOMEM;
	ret = fill(filter, user);
	if (ret) {
		kvfree(filter);
		return ret;
	}
	slat_mutex_lock(&vm->lock);
	filter = rcu_replace_pointer(vm->msr_filter, filter, lockdep_is_held(&vm->lock.lock));
	slat_mutex_unlock(&vm->lock);
	if (filter)
		kvfree_rcu(filter, rcu);
	/* Guests that run may use some MSRs without an exit: they enter anew. */
	slat_vm_kick(vm);
	return 0;
}

void slat_msr_filter_free(struct slat_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->msr_filter, true));
}

static bool filter_allows(const struct slat_msr_filter *filter, u32 index, bool write)
{
	const u32 flag = write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ;
	unsigned int i;

	/* The x2APIC is beyond this filter. */
	if (!filter || (index >= 0x800 && index <= 0x8ff))
		return true;
	for (i = 0; i < filter->nr; i++) {
		const struct msr_range *range = &filter->ranges[i];

		const u32 nr = index - range->base;

		if (index >= range->base && nr < range->nr && (range->flags & flag))
			return test_bit(array_index_nospec(nr, range->nr), range->allowed);
	}
	return filter->default_allow;
}

static bool allowed(struct slat_vm *vm, u32 index, bool write)
{
	bool ret;

	rcu_read_lock();
	ret = filter_allows(rcu_dereference(vm->msr_filter), index, write);
	rcu_read_unlock();
	return ret;
}

/* The VMM has done the access, or not. */
static int complete_msr(struct slat_vcpu *vcpu)
{
	const struct slat_msr_access *msr = &vcpu->msr;

	/* The VMM has moved on. */
	if (vcpu->rip != msr->rip)
		return 1;
	if (READ_ONCE(vcpu->run->msr.error)) {
		slat_vcpu_inject(vcpu, X86_TRAP_GP, true, 0);
		return 1;
	}
	if (!msr->write)
		slat_set_edx_eax(vcpu, READ_ONCE(vcpu->run->msr.data));
	slat_vcpu_skip(vcpu, msr->next_rip);
	return 1;
}

static int exit_to_vmm(struct slat_vcpu *vcpu, u32 reason, u32 index, bool write, u64 next_rip)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = index;
	run->msr.data = write ? slat_edx_eax(vcpu) : 0;
	vcpu->msr = (struct slat_msr_access) {
		.write = write, .rip = vcpu->rip, .next_rip = next_rip,
	};
	vcpu->complete = complete_msr;
	return 0;
}

/* 0, or why not: a KVM_MSR_EXIT_REASON. */
static u32 access(struct slat_vcpu *vcpu, u32 index, bool write)
{
	u64 value;
	int ret;

	if (!allowed(vcpu->vm, index, write))
		return KVM_MSR_EXIT_REASON_FILTER;
	if (write)
		ret = slat_msr_set(vcpu, index, slat_edx_eax(vcpu), true);
	else
		ret = slat_msr_get(vcpu, index, &value, true);
	if (ret)
		return ret == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
	if (!write)
		slat_set_edx_eax(vcpu, value);
	return 0;
}

int slat_msr_exit(struct slat_vcpu *vcpu, bool write, u64 next_rip)
{
	const u32 index = vcpu->gpr[SLAT_RCX];
	const u32 reason = access(vcpu, index, write);

	if (reason & READ_ONCE(vcpu->vm->user_msrs))
		return exit_to_vmm(vcpu, reason, index, write, next_rip);
	if (reason)
		slat_vcpu_inject(vcpu, X86_TRAP_GP, true, 0);
	else
		slat_vcpu_skip(vcpu, next_rip);
	return 1;
}
