// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of a vCPU's state: copy in, check the form, pass on. */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <asm/tsc.h>

#include "access.h"
#include "cap.h"
#include "state.h"
#include "user.h"
#include "vcpu.h"

/*
 * One function for each ioctl that passes a structure in or out: @get or @set
 * without more checks.  The larger ones come from the heap.
 */
#define GET(name, type)								\
static long get_##name(struct slat_vcpu *vcpu, void __user *user)		\
{										\
	struct type *value = kzalloc(sizeof(*value), GFP_KERNEL_ACCOUNT);	\
	long ret;								\
										\
	if (!value)								\
		return -ENOMEM;							\
	slat_##name##_get(vcpu, value);						\
	ret = slat_copy_to_user(user, value, sizeof(*value)) ? -EFAULT : 0;		\
	kfree(value);								\
	return ret;								\
}

#define SET(name, type)								\
static long set_##name(struct slat_vcpu *vcpu, const void __user *user)		\
{										\
	struct type *value = slat_memdup_user(user, sizeof(*value));			\
	long ret;								\
										\
	if (IS_ERR(value))							\
		return PTR_ERR(value);						\
	ret = slat_##name##_set(vcpu, value);					\
	kfree(value);								\
	return ret;								\
}

GET(xsave, kvm_xsave)
SET(xsave, kvm_xsave)
GET(xcrs, kvm_xcrs)
SET(xcrs, kvm_xcrs)
GET(debugregs, kvm_debugregs)
SET(debugregs, kvm_debugregs)
GET(sregs2, kvm_sregs2)
SET(sregs2, kvm_sregs2)
GET(events, kvm_vcpu_events)
SET(events, kvm_vcpu_events)

SET(debug, kvm_guest_debug)

/* Without an interrupt controller of slat's own a vCPU is always runnable. */

static long get_mp_state(void __user *user)
{
	const struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	return slat_copy_to_user(user, &state, sizeof(state)) ? -EFAULT : 0;
}

static long set_mp_state(const void __user *user)
{
	struct kvm_mp_state state;

	if (slat_copy_from_user(&state, user, sizeof(state)))
		return -EFAULT;
	return state.mp_state == KVM_MP_STATE_RUNNABLE ? 0 : -EINVAL;
}

static long enable_cap(const void __user *user)
{
	struct kvm_enable_cap cap;

	return slat_copy_from_user(&cap, user, sizeof(cap)) ? -EFAULT : slat_cap_enable_vcpu(&cap);
}

static long set_tsc_khz(struct slat_vcpu *vcpu, u32 khz)
{
	if (!khz)
		khz = tsc_khz;
	if (!slat_tsc_khz_valid(khz))
		return -EINVAL;
	vcpu->tsc_khz = khz;
	return 0;
}

static long set_signal_mask(struct slat_vcpu *vcpu, const struct kvm_signal_mask __user *user)
{
	struct kvm_signal_mask head;
	sigset_t set;

	if (!user) {
		vcpu->has_sigset = false;
		return 0;
	}
	if (slat_copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(set))
		return -EINVAL;
	if (slat_copy_from_user(&set, user->sigset, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = set;
	vcpu->has_sigset = true;
	return 0;
}

static long translate(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_translation tr;
	u64 gpa;

	if (slat_copy_from_user(&tr, user, sizeof(tr)))
		return -EFAULT;
	tr.valid = slat_translate_quietly(vcpu, tr.linear_address, &gpa);
	tr.physical_address = tr.valid ? gpa : ~0ULL;
	tr.writeable = 1;
	tr.usermode = 0;
	return slat_copy_to_user(user, &tr, sizeof(tr)) ? -EFAULT : 0;
}

/* The one attribute that there is: the TSC's offset. */
static long device_attr(struct slat_vcpu *vcpu, unsigned int cmd, const void __user *user)
{
	struct kvm_device_attr attr;
	u64 __user *offset;
	u64 value;

	if (slat_copy_from_user(&attr, user, sizeof(attr)))
		return -EFAULT;
	if (attr.group != KVM_VCPU_TSC_CTRL || attr.attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	offset = u64_to_user_ptr(attr.addr);
	switch (cmd) {
	case KVM_GET_DEVICE_ATTR:
		return slat_put_user(slat_hw->get_tsc_offset(vcpu), offset) ? -EFAULT : 0;
	case KVM_SET_DEVICE_ATTR:
		if (slat_get_user(value, offset))
			return -EFAULT;
		slat_tsc_set_offset(vcpu, value);
		return 0;
	default:
		return 0;
	}
}

long slat_ioctl_state(struct slat_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
		return get_xsave(vcpu, user);
	case KVM_SET_XSAVE:
		return set_xsave(vcpu, user);
	case KVM_GET_XCRS:
		return get_xcrs(vcpu, user);
	case KVM_SET_XCRS:
		return set_xcrs(vcpu, user);
	case KVM_GET_DEBUGREGS:
		return get_debugregs(vcpu, user);
	case KVM_SET_DEBUGREGS:
		return set_debugregs(vcpu, user);
	case KVM_GET_SREGS2:
		return get_sregs2(vcpu, user);
	case KVM_SET_SREGS2:
		return set_sregs2(vcpu, user);
	case KVM_GET_VCPU_EVENTS:
		return get_events(vcpu, user);
	case KVM_SET_VCPU_EVENTS:
		return set_events(vcpu, user);
	case KVM_GET_MP_STATE:
		return get_mp_state(user);
	case KVM_SET_MP_STATE:
		return set_mp_state(user);
	case KVM_GET_TSC_KHZ:
		return vcpu->tsc_khz;
	case KVM_SET_TSC_KHZ:
		return set_tsc_khz(vcpu, arg);
	case KVM_SET_SIGNAL_MASK:
		return set_signal_mask(vcpu, user);
	case KVM_TRANSLATE:
		return translate(vcpu, user);
	case KVM_ENABLE_CAP:
		return enable_cap(user);
	case KVM_SET_GUEST_DEBUG:
		return set_debug(vcpu, user);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return device_attr(vcpu, cmd, user);
	default:
		return -ENOTTY;
	}
}
