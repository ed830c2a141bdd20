// SPDX-License-Identifier: GPL-2.0-only
/* Runstate areas: registration, and updates when a vCPU changes its state. */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "access.h"
#include "guard.h"
#include "runstate.h"
#include "runstate_times.h"
#include "user.h"
#include "vcpu.h"

#define PAGES_MAX	2

/*
 * @sample:	in what is mapped
 * @mapped:	the pages
 * @guard:	of them
 * @nr:		how many there are
 * @owner:	of the guards, for debugfs
 */
struct slat_runstate_area {
	struct slat_runstate *sample;
	void *mapped;
	struct slat_guard guard[PAGES_MAX];
	unsigned int nr;
	char owner[32];
};

/* Updates */

static struct slat_vcpu *vcpu_of(struct slat_runstate_vcpu *rs)
{
	return container_of(rs, struct slat_vcpu, runstate);
}

static u64 vm_time(const struct slat_vm *vm)
{
	return ktime_get_boottime_ns() - vm->created;
}

/* Is time counted, and the state another one than was noted last? */
static bool is_behind(const struct slat_runstate_vcpu *rs)
{
	return READ_ONCE(rs->area) && READ_ONCE(rs->state) != READ_ONCE(rs->own.state);
}

/* Return: false: somebody else holds the lock, and does it before it is done. */
static bool try_follow(struct slat_runstate_vcpu *rs)
{
	if (!slat_raw_spin_try_begin(&rs->lock))
		return false;
	if (is_behind(rs)) {
		raw_write_seqcount_begin(&rs->seq);
		slat_runstate_enter(&rs->own, READ_ONCE(rs->state), vm_time(vcpu_of(rs)->vm));
		raw_write_seqcount_end(&rs->seq);
		slat_runstate_write(rs->area->sample, &rs->own);
	}
	slat_raw_spin_try_end(&rs->lock);
	return true;
}

void slat_runstate_change(struct slat_runstate_vcpu *rs, u32 state)
{
	WRITE_ONCE(rs->state, state);
	/* Pairs with unlock(): either we get the lock, or its holder sees the state. */
	smp_mb();
	try_follow(rs);
}

/* And do what the vCPU did not get the lock for. */
static void unlock(struct slat_runstate_vcpu *rs)
	__releases(&rs->lock.lock)
{
	slat_raw_spin_unlock(&rs->lock);
	do {
		/* Pairs with slat_runstate_change(). */
		smp_mb();
	} while (is_behind(rs) && try_follow(rs));
}

/* The scheduler */

static struct slat_runstate_vcpu *runstate_of(struct preempt_notifier *notifier)
{
	return container_of(notifier, struct slat_runstate_vcpu, notifier);
}

/* A vCPU that halted or was never run does not want to. */
static void replace(struct slat_runstate_vcpu *rs, u32 from, u32 to)
{
	if (rs->state == from)
		slat_runstate_change(rs, to);
}

/* With the run queue's lock held. */
static void sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	replace(runstate_of(notifier), SLAT_RUNSTATE_RUNNING, SLAT_RUNSTATE_RUNNABLE);
}

static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	replace(runstate_of(notifier), SLAT_RUNSTATE_RUNNABLE, SLAT_RUNSTATE_RUNNING);
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

void slat_runstate_watch(struct slat_runstate_vcpu *rs)
{
	preempt_disable();
	preempt_notifier_register(&rs->notifier);
	WRITE_ONCE(rs->watched, true);
	preempt_enable();
}

void slat_runstate_unwatch(struct slat_runstate_vcpu *rs)
{
	preempt_disable();
	preempt_notifier_unregister(&rs->notifier);
	WRITE_ONCE(rs->watched, false);
	preempt_enable();
}

static int wake(struct slat_vcpu *vcpu)
{
	slat_runstate_change(&vcpu->runstate, SLAT_RUNSTATE_RUNNING);
	return 1;
}

void slat_runstate_halt(struct slat_vcpu *vcpu)
{
	slat_runstate_change(&vcpu->runstate, SLAT_RUNSTATE_BLOCKED);
	vcpu->complete = wake;
}

/* Areas */

/*
 * Where an area is: its first byte, and, if @nr is 2, what is in the second page.
 */
struct place {
	u64 address[PAGES_MAX];
	unsigned int nr;
};

static struct place place_of(u64 address)
{
	return (struct place) {
		.address = { address, PAGE_ALIGN(address + 1) },
		.nr = offset_in_page(address) + sizeof(struct slat_runstate) > PAGE_SIZE ? 2 : 1,
	};
}

static int account(struct slat_vm *vm, unsigned int pages, bool more)
{
	slat_user_access();
	return account_locked_vm(vm->mm, pages, more);
}

static void unmap_pages(struct slat_runstate_area *area, bool wrote)
{
	while (area->nr)
		slat_gfn_unmap(&area->guard[--area->nr], wrote);
}

static int map_pages(struct slat_vm *vm, struct slat_runstate_area *area, const struct place *place)
{
	for (; area->nr < place->nr; area->nr++) {
		const u64 gfn = place->address[area->nr] >> PAGE_SHIFT;
		int ret = slat_gfn_map(vm, gfn, SLAT_R | SLAT_W | SLAT_GUARD_LONG, area->owner,
				       &area->guard[area->nr]);

		if (ret) {
			unmap_pages(area, false);
			return ret;
		}
	}
	return 0;
}

/* One page is mapped anyway; two become one mapping. */
static void *map_area(const struct slat_runstate_area *area)
{
	struct page *pages[PAGES_MAX];
	unsigned int i;

	if (area->nr == 1)
		return area->guard[0].host;
	for (i = 0; i < area->nr; i++)
		pages[i] = area->guard[i].page;
	return vmap(pages, area->nr, VM_MAP, PAGE_KERNEL);
}

static void unmap_area(const struct slat_runstate_area *area)
{
	if (area->nr > 1)
		vunmap(area->mapped);
}

static int fill_area(struct slat_vm *vm, struct slat_runstate_area *area, const struct place *place)
{
	int ret = account(vm, place->nr, true);

	if (ret)
		return ret;
	ret = map_pages(vm, area, place);
	if (ret)
		goto err_account;
	area->mapped = map_area(area);
	if (!area->mapped) {
		ret = -ENOMEM;
		goto err_pages;
	}
	area->sample = area->mapped + offset_in_page(place->address[0]);
	return 0;

err_pages:
	unmap_pages(area, false);
err_account:
	account(vm, place->nr, false);
	return ret;
}

static struct slat_runstate_area *make_area(struct slat_vcpu *vcpu, const struct place *place)
{
	struct slat_runstate_area *area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!area)
		return ERR_PTR(-ENOMEM);
	snprintf(area->owner, sizeof(area->owner), "runstate vcpu %u", vcpu->id);
	ret = fill_area(vcpu->vm, area, place);
	if (!ret)
		return area;
	kfree(area);
	return ERR_PTR(ret);
}

static void free_area(struct slat_vm *vm, struct slat_runstate_area *area)
{
	const unsigned int nr = area->nr;

	unmap_area(area);
	unmap_pages(area, true);
	account(vm, nr, false);
	kfree(area);
}

/* Registration */

/* Return: the area that was there before, which nobody uses any more. */
static struct slat_runstate_area *exchange_area(struct slat_vcpu *vcpu,
						struct slat_runstate_area *new)
{
	struct slat_runstate_vcpu *rs = &vcpu->runstate;
	struct slat_runstate_area *old;

	slat_raw_spin_lock(&rs->lock);
	old = rs->area;
	raw_write_seqcount_begin(&rs->seq);
	if (!old)
		slat_runstate_start(&rs->own, READ_ONCE(rs->state), vm_time(vcpu->vm));
	WRITE_ONCE(rs->area, new);
	raw_write_seqcount_end(&rs->seq);
	if (new)
		slat_runstate_write(new->sample, &rs->own);
	unlock(rs);
	return old;
}

static void set_area(struct slat_vcpu *vcpu, struct slat_runstate_area *new)
{
	struct slat_runstate_area *old = exchange_area(vcpu, new);

	/*
	 * Pairs with the barrier in enter() of vcpu.c: either the vCPU sees the area
	 * before it enters the guest, or it is taken out.
	 */
	if (new && !READ_ONCE(vcpu->runstate.watched))
		slat_vcpu_kick(vcpu);
	if (old)
		free_area(vcpu->vm, old);
}

/* Until the VM is gone, the scheduler looks whether somebody wants to be called. */
static void need_notifiers(struct slat_vm *vm)
{
	slat_mutex_lock(&vm->lock);
	if (!vm->has_runstates)
		preempt_notifier_inc();
	vm->has_runstates = true;
	slat_mutex_unlock(&vm->lock);
}

/* Where the guest's tables have it. */
static int translate(struct slat_vcpu *vcpu, struct place *place)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < place->nr; i++)
		ret = slat_translate_try(vcpu, place->address[i], SLAT_W, &place->address[i]);
	return ret;
}

/* @walker: through whose page tables, NULL: the address is a physical one */
static int register_area(struct slat_vcpu *vcpu, u64 address, struct slat_vcpu *walker)
{
	struct place place = place_of(address);
	struct slat_runstate_area *area;
	int ret;

	if (!IS_ALIGNED(address, sizeof(u64)))
		return -EINVAL;
	ret = walker ? translate(walker, &place) : 0;
	if (ret)
		return ret;
	area = make_area(vcpu, &place);
	if (IS_ERR(area))
		return PTR_ERR(area);
	need_notifiers(vcpu->vm);
	set_area(vcpu, area);
	return 0;
}

static int set(struct slat_vm *vm, u32 id, u64 address, struct slat_vcpu *walker)
{
	struct slat_vcpu *vcpu = xa_load(&vm->vcpus, id);

	if (!vcpu)
		return -ESRCH;
	if (address)
		return register_area(vcpu, address, walker);
	set_area(vcpu, NULL);
	return 0;
}

int slat_runstate_set(struct slat_vm *vm, u32 id, u64 gpa)
{
	return set(vm, id, gpa, NULL);
}

int slat_runstate_set_virtual(struct slat_vcpu *vcpu, u32 id, u64 gva)
{
	return set(vcpu->vm, id, gva, vcpu);
}

int slat_runstate_get(struct slat_vm *vm, struct slat_get_runstate *get)
{
	struct slat_vcpu *vcpu = xa_load(&vm->vcpus, get->vcpu);
	const struct slat_runstate_vcpu *rs;
	struct slat_runstate own;
	unsigned int seq;
	bool counts;

	if (!vcpu)
		return -ESRCH;
	rs = &vcpu->runstate;
	/* Without the lock: the vCPU does not wait for it, and would run with an old sample. */
	do {
		seq = raw_read_seqcount_begin(&rs->seq);
		counts = READ_ONCE(rs->area);
		own = rs->own;
		get->now = vm_time(vm);
	} while (read_seqcount_retry(&rs->seq, seq));
	if (!counts)
		return -ENOENT;
	slat_runstate_enter(&own, own.state, get->now);
	get->state = own.state;
	memcpy(get->time, own.time, sizeof(get->time));
	return 0;
}

void slat_runstate_init(struct slat_vcpu *vcpu)
{
	struct slat_runstate_vcpu *rs = &vcpu->runstate;

	rs->state = SLAT_RUNSTATE_OFFLINE;
	slat_raw_spinlock_init(&rs->lock, SLAT_LOCK_RUNSTATE, vcpu->vm);
	seqcount_init(&rs->seq);
	preempt_notifier_init(&rs->notifier, &preempt_ops);
}

void slat_runstate_vm_destroy(struct slat_vm *vm)
{
	struct slat_vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu)
		set_area(vcpu, NULL);
	if (vm->has_runstates)
		preempt_notifier_dec();
}
