// SPDX-License-Identifier: GPL-2.0-only
/* The life of a VM, its MMU notifier, and the flush that makes a cut final. */
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include <uapi/linux/slat.h>

#include "flush_check.h"
#include "debugfs.h"
#include "hw.h"
#include "ioevent.h"
#include "vcpu.h"
#include "vm.h"

static DEFINE_PER_CPU(struct cpumask, kick_mask);

static void kicked(void *unused)
{
	/* The interrupt itself took the CPU out of the guest. */
}

/* CPUs that are in the guest with translations older than @gen. */
static void lagging_cpus(struct slat_vm *vm, u64 gen, struct cpumask *mask)
{
	struct slat_vcpu *vcpu;
	unsigned long id;

	cpumask_clear(mask);
	xa_for_each(&vm->vcpus, id, vcpu) {
		if (!READ_ONCE(vcpu->in_guest) || READ_ONCE(vcpu->flushed_gen) >= gen)
			continue;
		cpumask_set_cpu(READ_ONCE(vcpu->cpu), mask);
	}
}

/* Return: the cut generation that nobody is behind any more. */
static u64 flush(struct slat_vm *vm)
{
	struct cpumask *mask;
	u64 gen;

	preempt_disable();
	mask = this_cpu_ptr(&kick_mask);
	gen = smp_load_acquire(&vm->mmu.cut_gen);
	/*
	 * Pairs with the barrier in enter() of vcpu.c: either we see in_guest, or
	 * the vCPU sees the new generation and flushes before it enters.
	 */
	smp_mb();
	lagging_cpus(vm, gen, mask);
	if (!cpumask_empty(mask) && !slat_flush_omit(SLAT_OMIT_KICK)) {
		atomic64_inc(&vm->flushes);
		smp_call_function_many(mask, kicked, NULL, true);
	}
	preempt_enable();
	return gen;
}

void slat_vm_kick(struct slat_vm *vm)
{
	struct cpumask *mask;
	struct slat_vcpu *vcpu;
	unsigned long id;

	preempt_disable();
	mask = this_cpu_ptr(&kick_mask);
	cpumask_clear(mask);
	/* Pairs with the barrier in enter() of vcpu.c, as in flush(). */
	smp_mb();
	xa_for_each(&vm->vcpus, id, vcpu)
		if (READ_ONCE(vcpu->in_guest))
			cpumask_set_cpu(READ_ONCE(vcpu->cpu), mask);
	smp_call_function_many(mask, kicked, NULL, true);
	preempt_enable();
}

void slat_vcpu_kick(struct slat_vcpu *vcpu)
{
	/* Pairs with the barrier in enter() of vcpu.c, as in flush(). */
	smp_mb();
	if (READ_ONCE(vcpu->in_guest))
		smp_call_function_single(READ_ONCE(vcpu->cpu), kicked, NULL, true);
}

void slat_gather_finish(struct slat_vm *vm, struct slat_gather *gather)
{
	struct slat_table *table, *next;

	if (!slat_flush_finished(vm, flush(vm)))
		slat_vm_kick(vm);
	list_for_each_entry_safe(table, next, &gather->freed, link)
		slat_table_free(table);
}

/* The notifier */

static struct slat_vm *vm_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct slat_vm, mn);
}

static void inval_begin(struct slat_mmu *mmu, unsigned long start, unsigned long end)
{
	slat_write_lock(&mmu->lock);
	/* One range that covers all in flight: they rarely overlap in time. */
	if (mmu->inval_count++) {
		mmu->inval_start = min(mmu->inval_start, start);
		mmu->inval_end = max(mmu->inval_end, end);
	} else {
		mmu->inval_start = start;
		mmu->inval_end = end;
	}
	slat_write_unlock(&mmu->lock);
}

/* Drop what maps host addresses from @start to @last in one slot. */
static void zap_slot(struct slat_vm *vm, const struct slat_slot *slot, unsigned long start,
		     unsigned long last, bool may_sleep, struct slat_gather *gather)
{
	u64 first_gfn, last_gfn;

	if (slat_slot_gfns(slot, start, last, &first_gfn, &last_gfn))
		slat_view_zap(&vm->base, first_gfn, last_gfn, false, may_sleep, gather);
}

static void zap_hva_range(struct slat_vm *vm, unsigned long start, unsigned long last,
			  bool may_sleep)
{
	const struct slat_slots *slots;
	struct slat_gather gather;
	unsigned int i;
	int idx;

	slat_gather_init(&gather, &vm->mmu);
	idx = slat_srcu_read_lock(&vm->slots_srcu);
	slots = slat_srcu_dereference(vm->slots, &vm->slots_srcu);
	for (i = slat_slots_hva_first(slots, start); i < slots->nr; i++) {
		const struct slat_slot *slot = slots->hva[i].slot;

		if (slot->hva > last)
			break;
		zap_slot(vm, slot, start, last, may_sleep, &gather);
	}
	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	slat_gather_finish(vm, &gather);
}

/* Was anything that maps the host addresses used of late? */
static bool age_hva_range(struct slat_vm *vm, unsigned long start, unsigned long last, bool clear)
{
	const struct slat_slots *slots;
	bool young = false;
	unsigned int i;
	int idx;

	idx = slat_srcu_read_lock(&vm->slots_srcu);
	slots = slat_srcu_dereference(vm->slots, &vm->slots_srcu);
	for (i = slat_slots_hva_first(slots, start); i < slots->nr; i++) {
		const struct slat_slot *slot = slots->hva[i].slot;
		u64 first_gfn, last_gfn;

		if (slot->hva > last)
			break;
		if (slat_slot_gfns(slot, start, last, &first_gfn, &last_gfn))
			young |= slat_view_age(&vm->base, first_gfn, last_gfn, clear);
	}
	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	return young;
}

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct slat_vm *vm = vm_of(mn);

	slat_caller_begin(&vm->memory);
	/* First, so that no slot which the snapshot lacks lets a fault through. */
	inval_begin(&vm->mmu, range->start, range->end);
	zap_hva_range(vm, range->start, range->end - 1, mmu_notifier_range_blockable(range));
	slat_caller_end(&vm->memory);
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct slat_vm *vm = vm_of(mn);
	struct slat_mmu *mmu = &vm->mmu;

	slat_caller_begin(&vm->memory);
	slat_write_lock(&mmu->lock);
	WRITE_ONCE(mmu->inval_seq, mmu->inval_seq + 1);
	WARN_ON_ONCE(!mmu->inval_count);
	mmu->inval_count--;
	slat_write_unlock(&mmu->lock);
	slat_caller_end(&vm->memory);
}

/*
 * The address space goes away.  No vCPU runs: their threads were in it, and no
 * other may run them.
 */
static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct slat_vm *vm = vm_of(mn);

	slat_caller_begin(&vm->memory);
	zap_hva_range(vm, 0, ULONG_MAX, true);
	slat_caller_end(&vm->memory);
}

/*
 * Ageing.  TLBs keep what they hold, so that a page may look old for a while though it
 * is in use: the host's own page tables on x86 are treated no better, since a flush
 * costs more than the odd page that is reclaimed too soon.
 */

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	struct slat_vm *vm = vm_of(mn);
	bool young;

	slat_caller_begin(&vm->memory);
	young = age_hva_range(vm, start, end - 1, true);
	slat_caller_end(&vm->memory);
	return young;
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	struct slat_vm *vm = vm_of(mn);
	bool young;

	slat_caller_begin(&vm->memory);
	young = age_hva_range(vm, address, address, false);
	slat_caller_end(&vm->memory);
	return young;
}

static const struct mmu_notifier_ops notifier_ops = {
	.clear_flush_young = clear_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.release = mm_release,
};

/* Life cycle */

static void mmu_init(struct slat_vm *vm, const struct slat_table_ops *ops)
{
	struct slat_mmu *mmu = &vm->mmu;

	slat_rwlock_init(&mmu->lock, SLAT_LOCK_TABLE, vm);
	mmu->ops = ops;
	mmu->levels = slat_hw_levels;
	/* Another format's tables are for looking at. */
	mmu->leaf_levels = ops == slat_hw->table_ops ? slat_hw_leaf_levels : SLAT_LEAF_LEVELS;
	mmu->cut_gen = 1;
	mmu->logs = RB_ROOT_CACHED;
}

struct slat_vm *slat_vm_create(const struct slat_table_ops *ops)
{
	struct slat_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	refcount_set(&vm->users, 1);
	slat_mutex_init(&vm->lock, SLAT_LOCK_VM, vm);
	xa_init(&vm->vcpus);
	slat_spinlock_init(&vm->tsc.lock, SLAT_LOCK_TSC, vm);
	vm->created = ktime_get_boottime_ns();
	INIT_LIST_HEAD(&vm->ioevents);
	slat_guards_init(vm);
	mmu_init(vm, ops);
	slat_memtypes_init(vm);

	ret = slat_slots_init(vm);
	if (ret)
		goto err_free;
	ret = slat_view_init(&vm->base, vm);
	if (ret)
		goto err_slots;
	ret = slat_hw_get();
	if (ret)
		goto err_view;

	vm->mm = current->mm;
	vm->memory = (struct slat_lock_id) { .owner = vm, .level = SLAT_LOCK_MM };
	vm->mn.ops = &notifier_ops;
	ret = mmu_notifier_register(&vm->mn, vm->mm);
	if (ret)
		goto err_hw;
	mmgrab(vm->mm);
	slat_vm_debugfs_create(vm);
	return vm;

err_hw:
	slat_hw_put();
err_view:
	slat_view_destroy(&vm->base);
err_slots:
	slat_slots_destroy(vm);
err_free:
	kfree(vm);
	return ERR_PTR(ret);
}

static void destroy(struct slat_vm *vm)
{
	const u64 last = (1ULL << (vm->mmu.levels * SLAT_ENTRIES_LG2)) - 1;
	struct slat_gather gather;
	struct slat_vcpu *vcpu;
	unsigned long id;

	slat_vm_debugfs_remove(vm);
	slat_runstate_vm_destroy(vm);
	/* While the notifier still vouches for the pages that the leaves map. */
	slat_gather_init(&gather, &vm->mmu);
	slat_view_zap(&vm->base, 0, last, true, true, &gather);
	slat_gather_finish(vm, &gather);

	mmu_notifier_unregister(&vm->mn, vm->mm);
	mmdrop(vm->mm);
	/* Until here the notifier looked through them for whom to stop. */
	xa_for_each(&vm->vcpus, id, vcpu)
		slat_vcpu_free(vcpu);
	xa_destroy(&vm->vcpus);
	slat_hw_put();
	slat_view_destroy(&vm->base);
	slat_guards_destroy(vm);
	slat_slots_destroy(vm);
	slat_memtypes_destroy(vm);
	slat_msr_filter_free(vm);
	slat_ioevents_free(vm);
	kfree(vm);
}

void slat_vm_get(struct slat_vm *vm)
{
	refcount_inc(&vm->users);
}

bool slat_vm_tryget(struct slat_vm *vm)
{
	return refcount_inc_not_zero(&vm->users);
}

void slat_vm_put(struct slat_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		destroy(vm);
}

void slat_vm_stats(struct slat_vm *vm, struct slat_stats *stats)
{
	struct slat_vcpu *vcpu;
	unsigned int level;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu) {
		const struct slat_vcpu_stats *from = &vcpu->stats;

		stats->exits += READ_ONCE(from->exits);
		stats->user_exits += READ_ONCE(from->user_exits);
		stats->faults += READ_ONCE(from->faults);
		stats->retries += READ_ONCE(from->retries);
		stats->mmio_exits += READ_ONCE(from->mmio_exits);
		stats->io_exits += READ_ONCE(from->io_exits);
	}
	for (level = 1; level <= SLAT_LEAF_LEVELS; level++)
		stats->leaves += atomic_long_read(&vm->mmu.leaves[level - 1]);
	stats->tables = atomic_long_read(&vm->mmu.tables);
	stats->flushes = atomic64_read(&vm->flushes);
	stats->levels = vm->mmu.levels;
}
