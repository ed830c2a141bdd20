// SPDX-License-Identifier: GPL-2.0-only
/* Memslots: the snapshot readers see, and how it changes. */
#include <linux/bsearch.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <asm/cpufeature.h>

#include "compat.h"
#include "hw.h"
#include "slot.h"
#include "vm.h"

/* One change: @old goes, @new comes; either may be NULL. */
struct slot_change {
	struct slat_slot *old;
	struct slat_slot *new;
};

static struct slat_slots *slots_locked(struct slat_vm *vm)
{
	return rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock.lock));
}

static int compare_gfn(const void *key, const void *elem)
{
	const u64 gfn = *(const u64 *)key;
	const struct slat_slot *slot = *(struct slat_slot *const *)elem;

	if (gfn < slot->gfn)
		return -1;
	return gfn > slat_slot_last(slot);
}

static noinline struct slat_slot *search(struct slat_slots *slots, u64 gfn)
{
	struct slat_slot **found = bsearch(&gfn, slots->slot, slots->nr, sizeof(*slots->slot),
					   compare_gfn);

	if (!found)
		return NULL;
	WRITE_ONCE(slots->recent, found - slots->slot);
	return *found;
}

struct slat_slot *slat_slot_find(struct slat_vm *vm, u64 gfn)
{
	struct slat_slots *slots = slat_srcu_dereference(vm->slots, &vm->slots_srcu);
	struct slat_slot *slot;

	if (!slots->nr)
		return NULL;
	/* Guests mostly go on where they were. */
	slot = slots->slot[READ_ONCE(slots->recent)];
	return gfn - slot->gfn < slot->npages ? slot : search(slots, gfn);
}

struct slat_slot *slat_slot_find_id(struct slat_vm *vm, u32 id)
{
	const struct slat_slots *slots = slots_locked(vm);
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i]->id == id)
			return slots->slot[i];
	return NULL;
}

u64 slat_gpa_limit(void)
{
	return 1ULL << min_t(unsigned int, boot_cpu_data.x86_phys_bits,
			     PAGE_SHIFT + SLAT_ENTRIES_LG2 * slat_hw_levels);
}

/* Is the region itself well-formed? */
static int check_region(const struct kvm_userspace_memory_region *region)
{
	const u64 limit = slat_gpa_limit();
	const u64 size = region->memory_size;

	if (region->flags & ~(KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES))
		return -EINVAL;
	/* The upper half is KVM's address space id, and there is only one. */
	if (region->slot >= SLAT_SLOTS_MAX)
		return -EINVAL;
	if (!PAGE_ALIGNED(size) || !PAGE_ALIGNED(region->guest_phys_addr) ||
	    !PAGE_ALIGNED(region->userspace_addr))
		return -EINVAL;
	if (size > limit || region->guest_phys_addr > limit - size ||
	    size >> PAGE_SHIFT > KVM_MEM_MAX_NR_PAGES)
		return -EINVAL;
	if (region->userspace_addr != untagged_addr(region->userspace_addr) ||
	    !access_ok((void __user *)(unsigned long)region->userspace_addr, size))
		return -EINVAL;
	return 0;
}

/* What the call asks for, given what is there.  1: nothing to do. */
static int decide(struct slot_change *change, const struct kvm_userspace_memory_region *region)
{
	const struct slat_slot *old = change->old;
	const u64 gfn = region->guest_phys_addr >> PAGE_SHIFT;

	if (!region->memory_size)
		return old ? 0 : -EINVAL;
	if (!old)
		return 0;
	if (old->npages != region->memory_size >> PAGE_SHIFT || old->hva != region->userspace_addr)
		return -EINVAL;
	/* A read-only slot stays one: KVM's rule. */
	if ((old->flags ^ region->flags) & KVM_MEM_READONLY)
		return -EINVAL;
	return old->gfn == gfn && old->flags == region->flags;
}

static bool logs(const struct slat_slot *slot)
{
	return slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

static bool starts_dirty(const struct slat_vm *vm)
{
	return vm->dirty_manual & KVM_DIRTY_LOG_INITIALLY_SET;
}

/* A slot that moves takes its log along. */
static int make_log(struct slat_vm *vm, struct slat_slot *slot, const struct slat_slot *old)
{
	if (!logs(slot))
		return 0;
	if (!old || !logs(old))
		return slat_dirty_alloc(&slot->log, slot->npages, starts_dirty(vm));
	slot->log = (struct slat_dirty) { .bitmap = old->log.bitmap, .taken = old->log.taken };
	return 0;
}

static struct slat_slot *alloc_slot(struct slat_vm *vm, const struct slat_slot *old,
				    const struct kvm_userspace_memory_region *region)
{
	struct slat_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->gfn = region->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = region->memory_size >> PAGE_SHIFT;
	slot->hva = region->userspace_addr;
	slot->id = region->slot;
	slot->flags = region->flags;
	/* A larger leaf's D would not tell one page from another. */
	slot->leaf_levels = logs(slot) ? 1 : vm->mmu.leaf_levels;
	if (!make_log(vm, slot, old))
		return slot;
	kfree(slot);
	return NULL;
}

/* @other: which may have the same log, or NULL */
static void free_slot(struct slat_slot *slot, const struct slat_slot *other)
{
	if (!other || other->log.bitmap != slot->log.bitmap)
		slat_dirty_free(&slot->log);
	kfree(slot);
}

static bool overlaps(const struct slat_slot *a, const struct slat_slot *b)
{
	return a->gfn <= slat_slot_last(b) && b->gfn <= slat_slot_last(a);
}

static struct slat_slots *alloc_slots(unsigned int max)
{
	struct slat_slots *slots;
	const size_t size = struct_size(slots, slot, max);

	slots = kvzalloc(size + max * sizeof(*slots->hva), GFP_KERNEL_ACCOUNT);
	if (slots)
		slots->hva = (void *)slots + size;
	return slots;
}

static int compare_hva(const void *a, const void *b)
{
	const unsigned long x = ((const struct slat_hva *)a)->slot->hva;
	const unsigned long y = ((const struct slat_hva *)b)->slot->hva;

	return x < y ? -1 : x > y;
}

static void index_by_hva(struct slat_slots *slots)
{
	unsigned long reach = 0;
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		slots->hva[i].slot = slots->slot[i];
	sort(slots->hva, slots->nr, sizeof(*slots->hva), compare_hva, NULL);
	for (i = 0; i < slots->nr; i++) {
		reach = max(reach, slat_slot_hva_last(slots->hva[i].slot));
		slots->hva[i].reach = reach;
	}
}

unsigned int slat_slots_hva_first(const struct slat_slots *slots, unsigned long hva)
{
	unsigned int low = 0, high = slots->nr;

	while (low < high) {
		const unsigned int mid = (low + high) / 2;

		if (slots->hva[mid].reach < hva)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The next snapshot.  ERR_PTR(-EEXIST) when the new slot is in another one's way. */
static struct slat_slots *next_slots(struct slat_slots *slots, const struct slot_change *change)
{
	struct slat_slots *next = alloc_slots(slots->nr + 1);
	struct slat_slot *new = change->new;
	unsigned int i;

	if (!next)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < slots->nr; i++) {
		struct slat_slot *slot = slots->slot[i];

		if (slot == change->old)
			continue;
		if (change->new && overlaps(slot, change->new)) {
			kvfree(next);
			return ERR_PTR(-EEXIST);
		}
		if (new && new->gfn < slot->gfn) {
			next->slot[next->nr++] = new;
			new = NULL;
		}
		next->slot[next->nr++] = slot;
	}
	if (new)
		next->slot[next->nr++] = new;
	index_by_hva(next);
	return next;
}

static void set_state(struct slat_vm *vm, struct slat_slot *slot, enum slat_slot_state state)
{
	slat_write_lock(&vm->mmu.lock);
	WRITE_ONCE(slot->state, state);
	slat_write_unlock(&vm->mmu.lock);
}

/*
 * Empty the nested tables behind a slot.  It stays in the snapshot meanwhile: the
 * host may take its pages back at any moment, and its notifier must find the
 * leaves that map them.
 */
static void retire(struct slat_vm *vm, struct slat_slot *slot)
{
	struct slat_gather gather;

	set_state(vm, slot, SLAT_SLOT_GOING);
	slat_gather_init(&gather, &vm->mmu);
	slat_view_zap(&vm->base, slot->gfn, slat_slot_last(slot), true, true, &gather);
	slat_gather_finish(vm, &gather);
}

/*
 * A slot begins to log: what is dirty by now does not count, and all leaves become small.
 * With all pages said to be dirty, both can wait until the VMM clears them.
 */
static void start_log(struct slat_vm *vm, struct slat_slot *slot)
{
	if (!starts_dirty(vm))
		slat_view_harvest(&vm->base, slot->gfn, slat_slot_last(slot));
	slat_dirty_attach(&vm->mmu, &slot->log, slot->gfn, slot->npages);
}

/* The snapshot has @new in place of @old, which is the same but for its log. */
static void relog(struct slat_vm *vm, struct slat_slot *old, struct slat_slot *new)
{
	struct slat_gather gather;

	/* Faults that came with the old snapshot would map as that wants it. */
	set_state(vm, old, SLAT_SLOT_REPLACED);
	slat_gather_init(&gather, &vm->mmu);
	if (logs(new))
		start_log(vm, new);
	else
		/* With the tables: large leaves come back by faults, as far as there are. */
		slat_view_zap(&vm->base, new->gfn, slat_slot_last(new), true, true, &gather);
	slat_gather_finish(vm, &gather);
}

/* Nothing fails from here on. */
static void commit(struct slat_vm *vm, const struct slot_change *change, struct slat_slots *next)
{
	struct slat_slots *prev = slots_locked(vm);
	struct slat_slot *old = change->old, *new = change->new;
	const bool stays = old && new && old->gfn == new->gfn;

	if (old && !stays)
		retire(vm, old);
	/* Of a slot that moves, both logs are there until nobody uses the old one. */
	if (new && logs(new) && !stays)
		slat_dirty_attach(&vm->mmu, &new->log, new->gfn, new->npages);
	rcu_assign_pointer(vm->slots, next);
	if (stays)
		relog(vm, old, new);
	/* Also waits for kernel accesses to the old slot's memory. */
	slat_srcu_synchronize(&vm->slots_srcu);
	kvfree(prev);
	if (!old)
		return;
	if (logs(old))
		slat_dirty_detach(&vm->mmu, &old->log);
	free_slot(old, new);
}

int slat_slot_set(struct slat_vm *vm, const struct kvm_userspace_memory_region *region)
{
	struct slot_change change = {};
	struct slat_slots *next;
	int ret = check_region(region);

	if (ret)
		return ret;

	slat_mutex_lock(&vm->slots_lock);
	change.old = slat_slot_find_id(vm, region->slot);
	ret = decide(&change, region);
	if (ret)
		goto unlock;
	if (region->memory_size) {
		change.new = alloc_slot(vm, change.old, region);
		if (!change.new) {
			ret = -ENOMEM;
			goto unlock;
		}
	}
	next = next_slots(slots_locked(vm), &change);
	if (IS_ERR(next)) {
		ret = PTR_ERR(next);
		if (change.new)
			free_slot(change.new, change.old);
		goto unlock;
	}
	commit(vm, &change, next);
unlock:
	slat_mutex_unlock(&vm->slots_lock);
	return ret < 0 ? ret : 0;
}

int slat_slots_init(struct slat_vm *vm)
{
	struct slat_slots *none = alloc_slots(0);
	int ret;

	if (!none)
		return -ENOMEM;
	ret = slat_srcu_init(&vm->slots_srcu, SLAT_LOCK_SRCU, vm);
	if (ret) {
		kvfree(none);
		return ret;
	}
	slat_mutex_init(&vm->slots_lock, SLAT_LOCK_SLOTS, vm);
	RCU_INIT_POINTER(vm->slots, none);
	return 0;
}

void slat_slots_destroy(struct slat_vm *vm)
{
	struct slat_slots *slots = rcu_dereference_protected(vm->slots, true);
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		free_slot(slots->slot[i], NULL);
	kvfree(slots);
	slat_srcu_destroy(&vm->slots_srcu);
}
