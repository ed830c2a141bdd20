// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of MSRs and machine checks: copy in, check the form, pass on. */
#include <linux/slab.h>

#include "ioctl.h"
#include "user.h"
#include "vcpu.h"

/* As many MSRs as one call takes, KVM's number. */
#define MSRS_MAX	256

/* Reading and writing stop at the first MSR that fails; how many did not? */
static u32 do_msrs(struct slat_vcpu *vcpu, struct kvm_msr_entry *entries, u32 nr, bool write)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct kvm_msr_entry *entry = &entries[i];
		u64 value;
		int ret;

		if (write)
			ret = slat_msr_set(vcpu, entry->index, entry->data, false);
		else if (vcpu)
			ret = slat_msr_get(vcpu, entry->index, &value, false);
		else
			ret = slat_msr_get_feature(entry->index, &value);
		if (ret)
			break;
		if (!write)
			entry->data = value;
	}
	return i;
}

long slat_ioctl_msrs(struct slat_vcpu *vcpu, struct kvm_msrs __user *user, bool write)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	long ret;

	if (slat_copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MSRS_MAX)
		return -E2BIG;
	entries = slat_memdup_user(user->entries, head.nmsrs * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = do_msrs(vcpu, entries, head.nmsrs, write);
	if (!write && slat_copy_to_user(user->entries, entries, head.nmsrs * sizeof(*entries)))
		ret = -EFAULT;
	kfree(entries);
	return ret;
}

long slat_ioctl_msr_list(const struct slat_msr_list *list, struct kvm_msr_list __user *user)
{
	struct kvm_msr_list head;
	u32 room;

	if (slat_copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;
	head.nmsrs = list->nr;
	/* The VMM learns the number even when it has no room. */
	if (slat_copy_to_user(user, &head, sizeof(head)))
		return -EFAULT;
	if (room < list->nr)
		return -E2BIG;
	return slat_copy_to_user(user->indices, list->index, list->nr * sizeof(*list->index)) ?
	       -EFAULT : 0;
}

long slat_ioctl_msr_filter(struct slat_vm *vm, const void __user *user)
{
	struct kvm_msr_filter filter;

	if (slat_copy_from_user(&filter, user, sizeof(filter)))
		return -EFAULT;
	return slat_msr_filter_set(vm, &filter);
}

long slat_ioctl_mce_supported(u64 __user *user)
{
	return slat_put_user(slat_mce_cap_supported(), user) ? -EFAULT : 0;
}

long slat_ioctl_setup_mce(struct slat_vcpu *vcpu, const u64 __user *user)
{
	u64 cap;

	if (slat_get_user(cap, user))
		return -EFAULT;
	return slat_mce_setup(vcpu, cap);
}

long slat_ioctl_set_mce(struct slat_vcpu *vcpu, const void __user *user)
{
	struct kvm_x86_mce mce;

	if (slat_copy_from_user(&mce, user, sizeof(mce)))
		return -EFAULT;
	return slat_mce_inject(vcpu, &mce);
}
