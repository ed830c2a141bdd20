// SPDX-License-Identifier: GPL-2.0-only
/* Nested page faults: from the guest frame to the host's page to a leaf. */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "fault.h"
#include "slot.h"
#include "user.h"
#include "vcpu.h"

/* The host page behind a guest frame, held until it is mapped. */
struct host_page {
	struct page *page;
	bool writable;
};

/*
 * Get the page, for write if the guest writes, else for write only if that costs
 * nothing: the leaf is writable at once, and the host's page is not unshared for a
 * read.
 */
static int get_host_page(unsigned long hva, bool write, struct host_page *host)
{
	long ret;

	host->writable = get_user_page_fast_only(hva, FOLL_WRITE, &host->page);
	if (host->writable)
		return 0;
	ret = slat_get_user_pages(hva, 1, &host->page,
				  FOLL_HWPOISON | (write ? FOLL_WRITE : 0));
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	host->writable = write;
	return 0;
}

static int map_page(struct slat_vcpu *vcpu, const struct slat_slot *slot, u64 gfn,
		    const struct host_page *host, unsigned long seq)
{
	struct slat_mmu *mmu = &vcpu->vm->mmu;
	const struct slat_map map = {
		.gfn = gfn,
		.pfn = page_to_pfn(host->page),
		.level = 1,
		.rights = SLAT_R | SLAT_X |
			  (host->writable && !(slot->flags & KVM_MEM_READONLY) ? SLAT_W : 0),
		.type = SLAT_MT_WB,
		.cache = &vcpu->cache,
	};
	int ret = -EAGAIN;

	slat_read_lock(&mmu->lock);
	if (!slot->going && !slat_mmu_retry(mmu, seq, slat_slot_hva(slot, gfn)))
		ret = slat_view_map(&vcpu->vm->base, &map);
	slat_read_unlock(&mmu->lock);
	return ret;
}

static int fault_in(struct slat_vcpu *vcpu, const struct slat_slot *slot, u64 gfn, bool write)
{
	struct slat_mmu *mmu = &vcpu->vm->mmu;
	struct host_page host;
	unsigned long seq;
	int ret;

	ret = slat_cache_fill(&vcpu->cache, mmu->levels - 1);
	if (ret)
		return ret;
	seq = READ_ONCE(mmu->inval_seq);
	/* Before the look-up; pairs with the lock in invalidate_end(). */
	smp_rmb();
	ret = get_host_page(slat_slot_hva(slot, gfn), write, &host);
	if (ret)
		return ret;
	ret = map_page(vcpu, slot, gfn, &host, seq);
	put_page(host.page);
	return ret;
}

/* The memory itself is broken: the VMM gets the signal that a touch would give. */
static void signal_poison(unsigned long hva)
{
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
}

static int fault_slot(struct slat_vcpu *vcpu, const struct slat_slot *slot, u64 gfn, bool write)
{
	int ret = fault_in(vcpu, slot, gfn, write);

	switch (ret) {
	case -EAGAIN:
		/* Also while the slot goes, or the page is being changed. */
		vcpu->stats.retries++;
		return SLAT_FAULT_DONE;
	case -EHWPOISON:
		signal_poison(slat_slot_hva(slot, gfn));
		return SLAT_FAULT_DONE;
	case -EINTR:
	case -ERESTARTSYS:
		/* A signal; the run loop sees it. */
		return SLAT_FAULT_DONE;
	default:
		return ret;
	}
}

int slat_fault(struct slat_vcpu *vcpu, u64 gpa, unsigned int access)
{
	const u64 gfn = gpa >> PAGE_SHIFT;
	const bool write = access & SLAT_W;
	struct slat_vm *vm = vcpu->vm;
	struct slat_slot *slot;
	int ret, idx;

	idx = slat_srcu_read_lock(&vm->slots_srcu);
	slot = slat_slot_find(vm, gfn);
	if (!slot || (write && (slot->flags & KVM_MEM_READONLY)))
		ret = SLAT_FAULT_MMIO;
	else
		ret = fault_slot(vcpu, slot, gfn, write);
	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	if (ret != SLAT_FAULT_MMIO)
		vcpu->stats.faults++;
	return ret;
}
