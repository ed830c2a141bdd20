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

#ifdef SLAT_HAVE_FOLLOW_PFNMAP
int slat_pte_read(struct vm_area_struct *vma, unsigned long hva, struct slat_pte *pte)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pte = (struct slat_pte) {
		.pfn = args.pfn,
		.writable = args.writable,
		/* Without an entry of 4K it is a large one, whose PAT bit is elsewhere. */
		.prot = args.ptep ? args.pgprot : pgprot_large_2_4k(args.pgprot),
	};
	follow_pfnmap_end(&args);
	return 0;
}
#else
int slat_pte_read(struct vm_area_struct *vma, unsigned long hva, struct slat_pte *pte)
{
	spinlock_t *lock;
	pte_t *ptep;
	int ret = follow_pte(vma->vm_mm, hva, &ptep, &lock);

	if (ret)
		return ret;
	/* What it locks, sparse cannot see. */
	__acquire(lock);
	*pte = (struct slat_pte) {
		.pfn = pte_pfn(*ptep),
		.writable = pte_write(*ptep),
		.prot = pte_pgprot(*ptep),
	};
	pte_unmap_unlock(ptep, lock);
	return 0;
}
#endif
