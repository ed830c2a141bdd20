// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guards and claims.  Of a guard and a claim on the same frame, each is made known before
 * the other is looked for: so at least one of the two sees that it has to stand back.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include "dirty.h"
#include "guard.h"
#include "host.h"
#include "pfnmap.h"
#include "user.h"
#include "vcpu.h"

/* Context: guards->lock. */
static bool is_claimed(const struct slat_guards *guards, u64 first, u64 last)
{
	const struct slat_claim *claim;

	list_for_each_entry(claim, &guards->claims, link)
		if (claim->first <= last && first <= claim->last)
			return true;
	return false;
}

int slat_claim_wait(struct slat_vm *vm)
{
	struct slat_guards *guards = &vm->guards;
	const unsigned int before = READ_ONCE(guards->nr_ended);
	int ret;

	slat_lock_take(&guards->claim, SLAT_LOCK_SHARED);
	ret = wait_event_killable(guards->ended, !READ_ONCE(guards->nr_claims) ||
						 READ_ONCE(guards->nr_ended) != before);
	slat_lock_release(&guards->claim);
	return ret ? -EINTR : 0;
}

/* Guards with a page */

static struct slat_guard_slot *take_slot(struct slat_guards *guards, u64 frame)
{
	const unsigned int first = raw_smp_processor_id() * SLAT_GUARD_SLOTS_LINE;
	struct slat_guard_slot *slot = &guards->slot[first % SLAT_GUARD_SLOTS];
	unsigned int i;

	for (i = 0; i < SLAT_GUARD_SLOTS_LINE; i++, slot++)
		/* Before claims are looked for; pairs with the barrier in slat_claim_begin(). */
		if (!READ_ONCE(slot->frame) && !cmpxchg(&slot->frame, 0, frame))
			return slot;
	return NULL;
}

static bool try_enter(struct slat_guard *guard)
{
	struct slat_guards *guards = &guard->vm->guards;
	bool free;

	if (!(guard->access & SLAT_GUARD_LONG))
		guard->slot = take_slot(guards, guard->node.start << PAGE_SHIFT | guard->access);
	if (guard->slot) {
		WRITE_ONCE(guard->slot->owner, guard->owner);
		return !slat_guards_must_yield(guards, &guard->slot->frame);
	}
	slat_spin_lock(&guards->lock);
	free = !is_claimed(guards, guard->node.start, guard->node.last);
	if (free)
		interval_tree_insert(&guard->node, &guards->held);
	slat_spin_unlock(&guards->lock);
	return free;
}

static int enter(struct slat_guard *guard)
{
	int ret = 0;

	while (!ret && !try_enter(guard))
		ret = slat_claim_wait(guard->vm);
	if (ret)
		guard->vm = NULL;
	return ret;
}

static void leave(struct slat_guard *guard)
{
	struct slat_guards *guards = &guard->vm->guards;

	if (guard->slot) {
		/* What was done under the guard comes before. */
		smp_store_release(&guard->slot->frame, 0);
	} else {
		slat_spin_lock(&guards->lock);
		interval_tree_remove(&guard->node, &guards->held);
		slat_spin_unlock(&guards->lock);
	}
	guard->vm = NULL;
}

/*
 * A pin tells the host that the contents are in use.  To read them at once needs none, and
 * would only unshare the page.
 */
static bool wants_pin(unsigned int access)
{
	return access & (SLAT_W | SLAT_GUARD_LONG);
}

static int get_to_read(unsigned long hva, struct page **page)
{
	*page = slat_host_get_mapped(current->mm, hva);
	return *page ? 1 : slat_get_user_pages_fast(hva, 1, 0, page);
}

static int get_or_pin(unsigned long hva, int max, unsigned int access, struct page **pages)
{
	const unsigned int flags = (access & SLAT_W ? FOLL_WRITE : 0) |
				   (access & SLAT_GUARD_LONG ? FOLL_LONGTERM : 0);

	return wants_pin(access) ? slat_pin_user_pages_fast(hva, max, flags, pages) :
				   get_to_read(hva, pages);
}

static bool fault_in(unsigned long hva, unsigned int access)
{
	struct page *page;

	if (slat_get_user_pages_fast(hva, 1, access & SLAT_W ? FOLL_WRITE : 0, &page) != 1)
		return false;
	put_page(page);
	return true;
}

/* Some kernels do not wait for a page (userfaultfd) to pin it for long: have it come first. */
static int pin_long(unsigned long hva, int max, unsigned int access, struct page **pages)
{
	const int ret = get_or_pin(hva, max, access, pages);

	return ret == -EFAULT && fault_in(hva, access) ? get_or_pin(hva, max, access, pages) : ret;
}

static int get_pages_at(unsigned long hva, int max, unsigned int access, struct page **pages)
{
	int ret;

	if (!(access & SLAT_GUARD_LONG))
		return get_or_pin(hva, max, access, pages);
	/*
	 * As if it was to be written if it may be: the VMM's first write to the zero page or
	 * to a private mapping of a file would leave the guard behind.
	 */
	ret = pin_long(hva, max, access | SLAT_W, pages);
	return ret == -EFAULT && !(access & SLAT_W) ? pin_long(hva, max, access, pages) : ret;
}

/* Return: how many, up to @max and not 0, or an errno. */
static int get_pages(struct slat_vm *vm, u64 gfn, int max, unsigned int access,
		     struct page **pages)
{
	const int idx = slat_srcu_read_lock(&vm->slots_srcu);
	const struct slat_slot *slot = slat_slot_find(vm, gfn);
	int ret;

	if (!slot)
		ret = -ENOENT;
	else if ((access & SLAT_W) && (slot->flags & KVM_MEM_READONLY))
		ret = -EROFS;
	else
		ret = get_pages_at(slat_slot_hva(slot, gfn),
				   min_t(u64, max, slat_slot_last(slot) - gfn + 1), access, pages);
	if (!ret || ret == -EFAULT)
		ret = slat_pfnmap_is_at(slat_slot_hva(slot, gfn)) ? -ENXIO : -EFAULT;
	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	return ret;
}

int slat_gfn_map(struct slat_vm *vm, u64 gfn, unsigned int access, const char *owner,
		 struct slat_guard *guard)
{
	int ret;

	*guard = (struct slat_guard) {
		.node = { .start = gfn, .last = gfn },
		.vm = vm, .owner = owner, .access = access,
	};
	ret = enter(guard);
	if (ret)
		return ret;
	ret = get_pages(vm, gfn, 1, access, &guard->page);
	if (ret < 0) {
		leave(guard);
		return ret;
	}
	guard->host = page_address(guard->page);
	return 0;
}

static void mark(const struct slat_guard *guard)
{
	/* Of slat_dirty_mark(): what was written comes before. */
	smp_mb();
	slat_dirty_mark(&guard->vm->mmu, guard->node.start, guard->node.last);
}

void slat_gfn_unmap(struct slat_guard *guard, bool wrote)
{
	if (WARN_ON_ONCE(!guard->vm))
		return;
	if (wrote)
		mark(guard);
	if (wants_pin(guard->access))
		unpin_user_pages_dirty_lock(&guard->page, 1, wrote);
	else
		put_page(guard->page);
	leave(guard);
}

/* Ranges */

/* Pages at a time, with room for others in between. */
#define BATCH	512

static void put_pages(struct page **pages, unsigned long nr, bool wrote)
{
	unsigned long i;

	for (i = 0; i < nr; i += BATCH) {
		unpin_user_pages_dirty_lock(pages + i, min_t(unsigned long, nr - i, BATCH), wrote);
		cond_resched();
	}
}

static int pin_range(const struct slat_guard *guard, unsigned long nr, struct page **pages)
{
	unsigned long i = 0;
	int ret = 0;

	while (ret >= 0 && i < nr) {
		ret = signal_pending(current) ? -EINTR :
		      get_pages(guard->vm, guard->node.start + i,
				min_t(unsigned long, nr - i, BATCH), guard->access, pages + i);
		if (ret > 0)
			i += ret;
		cond_resched();
	}
	if (ret < 0)
		put_pages(pages, i, false);
	return min(ret, 0);
}

int slat_gfn_map_range(struct slat_vm *vm, u64 gfn, unsigned long nr, unsigned int access,
		       struct slat_guard *guard, struct page **pages)
{
	int ret;

	*guard = (struct slat_guard) {
		.node = { .start = gfn, .last = gfn + nr - 1 },
		.vm = vm, .owner = "window", .access = access | SLAT_GUARD_LONG,
	};
	ret = enter(guard);
	if (ret)
		return ret;
	ret = pin_range(guard, nr, pages);
	if (ret)
		leave(guard);
	return ret;
}

void slat_gfn_unmap_range(struct slat_guard *guard, struct page **pages, bool wrote)
{
	if (wrote)
		mark(guard);
	put_pages(pages, guard->node.last - guard->node.start + 1, wrote);
	leave(guard);
}

/* The dirty log */

static bool writes_any_time(const struct slat_guard *guard)
{
	return (guard->access & SLAT_GUARD_LONG) && (guard->access & SLAT_W);
}

void slat_guards_mark(struct slat_vm *vm, u64 first, u64 last)
{
	struct slat_guards *guards = &vm->guards;
	struct interval_tree_node *node;

	slat_spin_lock(&guards->lock);
	for (node = interval_tree_iter_first(&guards->held, first, last); node;
	     node = interval_tree_iter_next(node, first, last))
		if (writes_any_time(container_of(node, struct slat_guard, node)))
			__slat_dirty_mark(&vm->mmu, max_t(u64, first, node->start),
					  min_t(u64, last, node->last));
	slat_spin_unlock(&guards->lock);
}

/* Guards of vCPUs */

bool slat_guards_yield(struct slat_guards *guards, u64 *frame)
{
	const u64 gfn = *frame >> PAGE_SHIFT;
	bool claimed;

	slat_spin_lock(&guards->lock);
	claimed = is_claimed(guards, gfn, gfn);
	slat_spin_unlock(&guards->lock);
	if (claimed)
		WRITE_ONCE(*frame, 0);
	return claimed;
}

/* Claims */

static bool is_at(const u64 *frame, const struct slat_claim *claim)
{
	/* If it was one, what was done under it came before. */
	const u64 at = smp_load_acquire(frame);

	return at && at >> PAGE_SHIFT >= claim->first && at >> PAGE_SHIFT <= claim->last;
}

static bool vcpu_is_at(const struct slat_vcpu_guards *own, const struct slat_claim *claim)
{
	unsigned int i;

	for (i = 0; i < SLAT_VCPU_GUARDS; i++)
		if (is_at(&own->frame[i], claim))
			return true;
	return false;
}

/* Any guard that is made known without guards->lock. */
static bool anybody_is_at(struct slat_vm *vm, const struct slat_claim *claim)
{
	struct slat_vcpu *vcpu;
	unsigned long id;
	unsigned int i;

	for (i = 0; i < SLAT_GUARD_SLOTS; i++)
		if (is_at(&vm->guards.slot[i].frame, claim))
			return true;
	xa_for_each(&vm->vcpus, id, vcpu)
		if (vcpu_is_at(&vcpu->guards, claim))
			return true;
	return false;
}

static int try_claim(struct slat_guards *guards, struct slat_claim *claim)
{
	int ret = -EBUSY;

	slat_spin_lock(&guards->lock);
	if (!interval_tree_iter_first(&guards->held, claim->first, claim->last) &&
	    !is_claimed(guards, claim->first, claim->last)) {
		list_add(&claim->link, &guards->claims);
		WRITE_ONCE(guards->nr_claims, guards->nr_claims + 1);
		ret = 0;
	}
	slat_spin_unlock(&guards->lock);
	return ret;
}

int slat_claim_begin(struct slat_vm *vm, struct slat_claim *claim)
{
	struct slat_guards *guards = &vm->guards;
	int ret;

	/* Others will wait for it: is that in order? */
	slat_lock_take(&guards->claim, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&guards->claim);
	ret = try_claim(guards, claim);
	if (ret)
		return ret;
	/* Before guards are looked for; pairs with those in slat_vcpu_map() and take_slot(). */
	smp_mb();
	if (!anybody_is_at(vm, claim))
		return 0;
	slat_claim_end(vm, claim);
	return -EBUSY;
}

void slat_claim_end(struct slat_vm *vm, struct slat_claim *claim)
{
	struct slat_guards *guards = &vm->guards;

	slat_spin_lock(&guards->lock);
	list_del(&claim->link);
	WRITE_ONCE(guards->nr_ended, guards->nr_ended + 1);
	/* What was converted is seen by whoever sees this. */
	smp_store_release(&guards->nr_claims, guards->nr_claims - 1);
	slat_spin_unlock(&guards->lock);
	wake_up_all(&guards->ended);
}

/* All of them */

static void show(struct seq_file *file, u64 first, u64 last, unsigned int access)
{
	seq_printf(file, "%#llx-%#llx %c%c ", first << PAGE_SHIFT, ((last + 1) << PAGE_SHIFT) - 1,
		   access & SLAT_R ? 'r' : '-', access & SLAT_W ? 'w' : '-');
}

static void show_slot(struct seq_file *file, const struct slat_guard_slot *slot)
{
	const u64 frame = READ_ONCE(slot->frame);
	const char *owner = READ_ONCE(slot->owner);

	if (!frame || !owner)
		return;
	show(file, frame >> PAGE_SHIFT, frame >> PAGE_SHIFT, frame);
	seq_printf(file, "%s\n", owner);
}

static void show_vcpu(struct seq_file *file, const struct slat_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < SLAT_VCPU_GUARDS; i++) {
		const u64 frame = READ_ONCE(vcpu->guards.frame[i]);

		if (!frame)
			continue;
		show(file, frame >> PAGE_SHIFT, frame >> PAGE_SHIFT, frame);
		seq_printf(file, "emulate vcpu %u\n", vcpu->id);
	}
}

void slat_guards_show(struct slat_vm *vm, struct seq_file *file)
{
	struct slat_guards *guards = &vm->guards;
	struct interval_tree_node *node;
	struct slat_vcpu *vcpu;
	unsigned long id;
	unsigned int i;

	for (i = 0; i < SLAT_GUARD_SLOTS; i++)
		show_slot(file, &guards->slot[i]);
	slat_spin_lock(&guards->lock);
	for (node = interval_tree_iter_first(&guards->held, 0, ULONG_MAX); node;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX)) {
		const struct slat_guard *guard = container_of(node, struct slat_guard, node);

		show(file, node->start, node->last, guard->access);
		seq_printf(file, "%s\n", guard->owner);
	}
	slat_spin_unlock(&guards->lock);
	xa_for_each(&vm->vcpus, id, vcpu)
		show_vcpu(file, vcpu);
}

void slat_guards_init(struct slat_vm *vm)
{
	struct slat_guards *guards = &vm->guards;

	slat_spinlock_init(&guards->lock, SLAT_LOCK_GUARDS, vm);
	guards->held = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&guards->claims);
	init_waitqueue_head(&guards->ended);
	guards->claim = (struct slat_lock_id) { .owner = vm, .level = SLAT_LOCK_CLAIM };
}

void slat_guards_destroy(struct slat_vm *vm)
{
	WARN_ON_ONCE(!RB_EMPTY_ROOT(&vm->guards.held.rb_root) || vm->guards.nr_claims);
}
