// SPDX-License-Identifier: GPL-2.0-only
/* Memslots: the snapshot readers see, and how it changes. */
#include <linux/bsearch.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <asm/cpufeature.h>

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

static struct slat_slot *find_id(struct slat_slots *slots, u32 id)
{
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

	if (region->flags & ~KVM_MEM_READONLY)
		return -EINVAL;
	/* The upper half is KVM's address space id, and there is only one. */
	if (region->slot >= SLAT_SLOTS_MAX)
		return -EINVAL;
	if (!PAGE_ALIGNED(size) || !PAGE_ALIGNED(region->guest_phys_addr) ||
	    !PAGE_ALIGNED(region->userspace_addr))
		return -EINVAL;
	if (size > limit || region->guest_phys_addr > limit - size)
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
	return old->gfn == gfn;
}

static struct slat_slot *alloc_slot(const struct kvm_userspace_memory_region *region)
{
	struct slat_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->gfn = region->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = region->memory_size >> PAGE_SHIFT;
	slot->hva = region->userspace_addr;
	slot->id = region->slot;
	slot->flags = region->flags;
	return slot;
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

/*
 * Empty the nested tables behind a slot.  It stays in the snapshot meanwhile: the
 * host may take its pages back at any moment, and its notifier must find the
 * leaves that map them.
 */
static void retire(struct slat_vm *vm, struct slat_slot *slot)
{
	struct slat_gather gather;

	slat_write_lock(&vm->mmu.lock);
	WRITE_ONCE(slot->going, true);
	slat_write_unlock(&vm->mmu.lock);

	slat_gather_init(&gather, &vm->mmu);
	slat_view_zap(&vm->base, slot->gfn, slat_slot_last(slot), true, true, &gather);
	slat_gather_finish(vm, &gather);
}

/* Nothing fails from here on. */
static void commit(struct slat_vm *vm, const struct slot_change *change, struct slat_slots *next)
{
	struct slat_slots *prev = slots_locked(vm);

	if (change->old)
		retire(vm, change->old);
	rcu_assign_pointer(vm->slots, next);
	/* Also waits for kernel accesses to the old slot's memory. */
	slat_srcu_synchronize(&vm->slots_srcu);
	kvfree(prev);
	kfree(change->old);
}

int slat_slot_set(struct slat_vm *vm, const struct kvm_userspace_memory_region *region)
{
	struct slot_change change = {};
	struct slat_slots *next;
	int ret = check_region(region);

	if (ret)
		return ret;

	slat_mutex_lock(&vm->slots_lock);
	change.old = find_id(slots_locked(vm), region->slot);
	ret = decide(&change, region);
	if (ret)
		goto unlock;
	if (region->memory_size) {
		change.new = alloc_slot(region);
		if (!change.new) {
			ret = -ENOMEM;
			goto unlock;
		}
	}
	next = next_slots(slots_locked(vm), &change);
	if (IS_ERR(next)) {
		ret = PTR_ERR(next);
		kfree(change.new);
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
		kfree(slots->slot[i]);
	kvfree(slots);
	slat_srcu_destroy(&vm->slots_srcu);
}
