// SPDX-License-Identifier: GPL-2.0-only
/* The parts of the seam to the kernel that are no inline functions. */
#include "compat.h"

#ifdef CONFIG_KVM_XFER_TO_GUEST_WORK
/*
 * The kernel's helper is the only exported way to run task work, but it wants a
 * struct kvm_vcpu to note a signal in.  Nobody reads this one.
 */
static struct kvm_run unread_run;
static struct kvm_vcpu unread_vcpu = { .run = &unread_run };

int slat_guest_work(void)
{
	return xfer_to_guest_mode_handle_work(&unread_vcpu);
}
#else
int slat_guest_work(void)
{
	if (signal_pending(current))
		return -EINTR;
	cond_resched();
	return 0;
}
#endif
