// SPDX-License-Identifier: GPL-2.0-only
/* Nested page faults: from the guest frame to the host's page to a leaf. */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include <uapi/linux/slat.h>

#include "compat.h"
#include "fault.h"
#include "slot.h"
#include "user.h"
#include "vcpu.h"

bool slat_nx_large;

/**
 * struct step - one leaf, or some 4K leaves side by side, to enter
 * @vcpu:	on whose account
 * @slot:	that covers @gfn
 * @gfn:	the page that is wanted
 * @max:	4K pages at most, all of which one table covers
 * @access:	what is wanted of the first
 * @pfnmap:	what is known of a frame without page structure, else NULL
 * @level:	of the leaf
 * @others:	out: pages behind that of @gfn that have leaves of 4K, too
 */
struct step {
	struct slat_vcpu *vcpu;
	const struct slat_slot *slot;
	u64 gfn;
	unsigned int max;
	unsigned int access;
	const struct slat_pfnmap *pfnmap;
	unsigned int level;
	unsigned int others;
};

/* Does the slot allow a leaf of @level, the same way aligned on both sides? */
static bool fits(const struct slat_slot *slot, u64 gfn, unsigned int level)
{
	const u64 offsets = slat_span(level) - 1, first = gfn & ~offsets;

	return first >= slot->gfn && first - slot->gfn + offsets < slot->npages &&
	       !(((slot->hva >> PAGE_SHIFT) ^ slot->gfn) & offsets);
}

static unsigned int type_of(const struct step *step)
{
	struct slat_vm *vm = step->vcpu->vm;

	/* What nearly every fault asks for. */
	if (!step->pfnmap && !slat_memtypes_open(&vm->memtypes))
		return vm->memtypes.ram;
	return slat_memtype(vm, step->slot, step->gfn, step->pfnmap);
}

/* The largest level up to @level of which the leaf has one memory type. */
static unsigned int one_type(const struct step *step, unsigned int level)
{
	struct slat_vm *vm = step->vcpu->vm;

	if (level == 1 || !slat_memtypes_open(&vm->memtypes))
		return level;
	return slat_memtype_level(vm, step->slot, step->gfn, level);
}

static unsigned int leaf_level(const struct step *step)
{
	unsigned int level = min(step->vcpu->filler.host.level, step->slot->leaf_levels);

	while (level > 1 && !fits(step->slot, step->gfn, level))
		level--;
	return one_type(step, level);
}

static unsigned int slot_rights(const struct slat_slot *slot)
{
	return SLAT_R | SLAT_X | (slot->flags & KVM_MEM_READONLY ? 0 : SLAT_W);
}

/* The page that is wanted, or a large leaf with it in.  Context: mmu->lock. */
static int map_first(struct step *step)
{
	const struct slat_host_run *host = &step->vcpu->filler.host;
	struct slat_map map = {
		.gfn = step->gfn,
		.pfn = host->pfn[0],
		.level = step->level,
		.rights = host->rights[0] & slot_rights(step->slot),
		.type = type_of(step),
		.cache = &step->vcpu->filler.cache,
	};

	if (slat_nx_large && map.level > 1) {
		map.keep_small = step->access & SLAT_X;
		if (map.keep_small)
			map.level = 1;
		else
			map.rights &= ~SLAT_X;
	}
	return slat_view_map(&step->vcpu->vm->base, &map);
}

/* The pages behind the first.  Context: mmu->lock. */
static void map_others(struct step *step)
{
	struct slat_filler *filler = &step->vcpu->filler;
	struct slat_host_run *host = &filler->host;
	struct slat_vm *vm = step->vcpu->vm;
	const struct slat_run run = {
		.gfn = step->gfn + 1,
		.nr = host->nr - 1,
		.pfn = host->pfn + 1,
		.rights = host->rights + 1,
		.type = type_of(step),
		.cache = &filler->cache,
	};
	unsigned int i;

	/* All of the table's span, to keep it simple. */
	if (one_type(step, 2) < 2)
		return;
	for (i = 1; i < host->nr; i++)
		host->rights[i] &= slot_rights(step->slot);
	/* Nobody waits for them: whatever fails, faults will do. */
	if (slat_view_map_run(&vm->base, &run) >= 0)
		step->others = run.nr;
}

/* Was any host address that the leaves are to map changed since @seq? */
static bool is_stale(const struct step *step, unsigned long seq)
{
	unsigned long start = slat_slot_hva(step->slot, step->gfn);
	u64 pages = step->vcpu->filler.host.nr;

	if (step->level > 1) {
		pages = slat_span(step->level);
		start &= ~((pages << PAGE_SHIFT) - 1);
	}
	return slat_mmu_retry(&step->vcpu->vm->mmu, seq, start, start + (pages << PAGE_SHIFT));
}

/* What only slat_host_get() gave, and what is known of it for sure. */
static void take_page(struct step *step, const struct slat_host_page *page)
{
	struct slat_host_run *host = &step->vcpu->filler.host;
	const bool writable = page->page ? step->access & SLAT_W : page->pfnmap.writable;

	host->nr = 1;
	host->level = 1;
	host->pfn[0] = page->page ? page_to_pfn(page->page) : page->pfnmap.pfn;
	host->rights[0] = SLAT_R | SLAT_X | (writable ? SLAT_W : 0);
	step->pfnmap = page->page ? NULL : &page->pfnmap;
}

/* The others of a large page of the host's, where leaves are to be small. */
static void spread(const struct step *step)
{
	struct slat_host_run *host = &step->vcpu->filler.host;
	const u64 offset = host->pfn[0] & (slat_span(host->level) - 1);
	const unsigned int nr = min_t(u64, step->max, slat_span(host->level) - offset);

	for (; host->nr < nr; host->nr++) {
		host->pfn[host->nr] = host->pfn[0] + host->nr;
		host->rights[host->nr] = host->rights[0];
	}
}

/*
 * @page: got after the invalidations were counted to @seq, or NULL
 * Return: -ENOENT: one has to be got.
 */
static int map_pages(struct step *step, const struct slat_host_page *page, unsigned long seq)
{
	struct slat_vm *vm = step->vcpu->vm;
	struct slat_mmu *mmu = &vm->mmu;
	int ret = -EAGAIN;

	slat_read_lock(&mmu->lock);
	if (step->slot->state != SLAT_SLOT_LIVE)
		goto unlock;
	if (slat_host_look(vm->mm, slat_slot_hva(step->slot, step->gfn), step->max, step->access,
			   &step->vcpu->filler.host)) {
		/* Nothing is newer: only what is being invalidated does not count. */
		seq = mmu->inval_seq;
	} else if (page) {
		take_page(step, page);
	} else {
		ret = -ENOENT;
		goto unlock;
	}
	step->level = leaf_level(step);
	if (step->level == 1 && step->vcpu->filler.host.level > 1)
		spread(step);
	if (is_stale(step, seq))
		goto unlock;
	ret = map_first(step);
	if (!ret && step->level == 1 && step->vcpu->filler.host.nr > 1)
		map_others(step);
unlock:
	slat_read_unlock(&mmu->lock);
	return ret;
}

/* What maps the span in small pieces, or did, makes room for the large leaf. */
static int merge(const struct step *step)
{
	const u64 offsets = slat_span(step->level) - 1, first = step->gfn & ~offsets;
	struct slat_vm *vm = step->vcpu->vm;
	struct slat_gather gather;

	slat_gather_init(&gather, &vm->mmu);
	slat_view_zap(&vm->base, first, first + offsets, true, true, &gather);
	slat_gather_finish(vm, &gather);
	return -EAGAIN;
}

static int fill_cache(const struct step *step)
{
	return slat_cache_fill(&step->vcpu->filler.cache, step->vcpu->vm->mmu.levels - 1);
}

/* The host has to do something first: fault the page in, or break a sharing. */
static int get_and_map(struct step *step)
{
	struct slat_host_page page;
	unsigned long seq;
	int ret;

	ret = fill_cache(step);
	if (ret)
		return ret;
	seq = READ_ONCE(step->vcpu->vm->mmu.inval_seq);
	/* Before the look-up; pairs with the lock in invalidate_end(). */
	smp_rmb();
	ret = slat_host_get(&page, slat_slot_hva(step->slot, step->gfn), step->access & SLAT_W);
	if (ret)
		return ret;
	ret = map_pages(step, &page, seq);
	slat_host_put(&page);
	return ret;
}

/* Most faults need neither a new table nor the host's help: try without. */
static int take_step(struct step *step)
{
	int ret = map_pages(step, NULL, 0);

	if (ret == -ENOMEM) {
		ret = fill_cache(step);
		if (!ret)
			ret = map_pages(step, NULL, 0);
	}
	if (ret == -ENOENT)
		ret = get_and_map(step);
	return ret == -EBUSY ? merge(step) : ret;
}

/* How many pages one step may map: within the slot, and up to a multiple of @window. */
static unsigned int room(const struct slat_slot *slot, u64 gfn, unsigned int window)
{
	return min_t(u64, window - gfn % window, slat_slot_last(slot) - gfn + 1);
}

/* The memory itself is broken: the VMM gets the signal that a touch would give. */
static void signal_poison(unsigned long hva)
{
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
}

/* Pages to map around a fault: not again those that the last one brought along. */
static unsigned int room_around(struct slat_vcpu *vcpu, const struct slat_slot *slot, u64 gfn)
{
	const u64 last = vcpu->filler.last_gfn;
	const unsigned int max = room(slot, gfn, SLAT_FAULT_AROUND);

	vcpu->filler.last_gfn = gfn;
	return last > gfn ? min_t(u64, max, last - gfn) : max;
}

static int fault_slot(struct slat_vcpu *vcpu, const struct slat_slot *slot, u64 gfn,
		      unsigned int access)
{
	struct step step = {
		.vcpu = vcpu, .slot = slot, .gfn = gfn, .access = access,
		.max = room_around(vcpu, slot, gfn),
	};
	int ret = take_step(&step);

	switch (ret) {
	case -EAGAIN:
		/* Also while the slot changes, or the page does. */
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
	struct slat_vm *vm = vcpu->vm;
	struct slat_slot *slot;
	int ret, idx;

	idx = slat_srcu_read_lock(&vm->slots_srcu);
	slot = slat_slot_find(vm, gfn);
	if (!slot || ((access & SLAT_W) && (slot->flags & KVM_MEM_READONLY)))
		ret = SLAT_FAULT_MMIO;
	else
		ret = fault_slot(vcpu, slot, gfn, access);
	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	if (ret != SLAT_FAULT_MMIO)
		vcpu->stats.faults++;
	return ret;
}

/* Ahead of the guest */

static bool range_valid(const struct kvm_pre_fault_memory *range)
{
	return !range->flags && !memchr_inv(range->padding, 0, sizeof(range->padding)) &&
	       PAGE_ALIGNED(range->gpa) && PAGE_ALIGNED(range->size) &&
	       range->gpa + range->size > range->gpa;
}

/* From the one that was wanted on. */
static u64 pages_done(const struct step *step)
{
	const u64 span = slat_span(step->level);

	return step->level > 1 ? span - (step->gfn & (span - 1)) : 1 + step->others;
}

/* Return: pages done, 0: try again, or an errno. */
static s64 prefault_slot(struct slat_vcpu *vcpu, const struct slat_slot *slot, u64 gfn, u64 pages)
{
	struct step step = {
		.vcpu = vcpu, .slot = slot, .gfn = gfn, .access = SLAT_R,
		.max = min_t(u64, pages, room(slot, gfn, SLAT_RUN_MAX)),
	};
	int ret = take_step(&step);

	if (!ret)
		return pages_done(&step);
	/* Whoever deletes the slot waits for us, so not for long. */
	return ret == -EAGAIN && READ_ONCE(slot->state) != SLAT_SLOT_GOING ? 0 : ret;
}

/* The slots may change in between. */
static s64 prefault_step(struct slat_vcpu *vcpu, u64 gfn, u64 pages)
{
	struct slat_vm *vm = vcpu->vm;
	int idx = slat_srcu_read_lock(&vm->slots_srcu);
	struct slat_slot *slot = slat_slot_find(vm, gfn);
	s64 ret = slot ? prefault_slot(vcpu, slot, gfn, pages) : -ENOENT;

	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	return ret;
}

int slat_prefault(struct slat_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	const u64 size = range->size;
	s64 ret = 0;

	if (!range_valid(range))
		return -EINVAL;
	while (range->size) {
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = prefault_step(vcpu, range->gpa >> PAGE_SHIFT, range->size >> PAGE_SHIFT);
		if (ret < 0)
			break;
		ret = min_t(u64, ret << PAGE_SHIFT, range->size);
		range->gpa += ret;
		range->size -= ret;
		cond_resched();
	}
	if (range->size != size)
		return 0;
	return ret == -ERESTARTSYS ? -EINTR : ret;
}
