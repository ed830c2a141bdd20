/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtual machine: memory, tables, vCPUs, and the MMU notifier that binds them. */
#ifndef SLAT_VM_H
#define SLAT_VM_H

#include <linux/mmu_notifier.h>
#include <linux/refcount.h>
#include <linux/xarray.h>

#include "guard.h"
#include "locks.h"
#include "memtype.h"
#include "msr.h"
#include "slot.h"
#include "table.h"
#include "view.h"

struct dentry;
struct slat_msr_filter;
struct slat_vcpu;
struct slat_stats;

#define SLAT_VCPUS_MAX	1024

/**
 * struct slat_vm - a virtual machine
 * @users:	file descriptors and vCPUs that hold it
 * @mm:		the address space that made it; the only one that may use it
 * @mn:		tells of changes in @mm
 * @memory:	the locks of @mm, inside which @mn is called
 * @lock:	creation of vCPUs, and what else says so
 * @vcpus:	id -> struct slat_vcpu; entries are only added while @users > 0
 * @nr_vcpus:	entries of @vcpus, under @lock
 * @slots_lock:	changes of the slots and of pinned memory types, reading dirty logs
 * @slots_srcu:	readers of @slots, and of user memory found through it
 * @slots:	the current snapshot
 * @guards:	guest memory that the kernel is at
 * @mmu:	what all nested tables share
 * @base:	view 0
 * @memtypes:	what decides how leaves are cached
 * @max_vcpu_ids: ids are below it, 0: not settled; under @lock
 * @dirty_manual: KVM_DIRTY_LOG_* that KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 has set; under
 *		@slots_lock
 * @boot_cpu_id: the vCPU that boots; under @lock, and never changed after the first vCPU
 * @nr_mmu_pages: of KVM_SET_NR_MMU_PAGES, kept for the VMM
 * @ioevents:	doorbells, changed under @lock, read under RCU
 * @nr_ioevents: entries of @ioevents, under @lock
 * @hypercall_exits: hypercalls that the VMM wants, a bit each
 * @quirks_off:	KVM_X86_QUIRK_* that the VMM does without
 * @triple_fault_event: KVM_CAP_X86_TRIPLE_FAULT_EVENT
 * @exception_payload: KVM_CAP_EXCEPTION_PAYLOAD
 * @hide_platform_info: KVM_CAP_MSR_PLATFORM_INFO is off
 * @msr_filter:	what the guest may access of its MSRs, NULL: all; set under @lock,
 *		read under RCU
 * @user_msrs:	failed accesses that the VMM wants to see, KVM_MSR_EXIT_REASON_*
 * @tsc:	how the vCPUs' TSCs agree
 * @runstate_calls: the guest has SLAT_HC_SET_RUNSTATE
 * @has_runstates: some vCPU has had a runstate area, under @lock
 * @created:	when, in ns of the host's boottime
 * @flushes:	counted by slat_gather_finish()
 * @debugfs:	its directory, or an error pointer
 *
 * @nr_mmu_pages, @hypercall_exits, @quirks_off, @triple_fault_event, @exception_payload,
 * @hide_platform_info and @user_msrs are set by ioctls of the VM, at any moment and without
 * a lock, and read likewise: none of them has to agree with another.
 */
struct slat_vm {
	refcount_t users;
	struct mm_struct *mm;
	struct mmu_notifier mn;
	struct slat_lock_id memory;

	struct slat_mutex lock;
	struct xarray vcpus;
	unsigned int nr_vcpus;

	struct slat_mutex slots_lock;
	struct slat_srcu slots_srcu;
	struct slat_slots __rcu *slots;

	struct slat_guards guards;
	struct slat_mmu mmu;
	struct slat_view base;
	struct slat_memtypes memtypes;
	u32 dirty_manual;
	u32 max_vcpu_ids;
	u32 boot_cpu_id;
	u32 nr_mmu_pages;
	struct list_head ioevents;
	unsigned int nr_ioevents;
	u32 hypercall_exits;
	u32 quirks_off;
	bool triple_fault_event;
	bool exception_payload;
	bool hide_platform_info;
	struct slat_msr_filter __rcu *msr_filter;
	u32 user_msrs;
	struct slat_tsc tsc;
	bool runstate_calls;
	bool has_runstates;
	u64 created;
	atomic64_t flushes;
	struct dentry *debugfs;
};

/**
 * slat_vm_create() - a VM of current->mm
 * @ops:	the format of its tables
 *
 * Context: process.  Return: the VM, held once, or ERR_PTR(-ENOMEM, -EINTR, -EBUSY):
 * the last one as slat_hw_get().
 */
struct slat_vm *slat_vm_create(const struct slat_table_ops *ops);

/** slat_vm_get() - hold it once more. */
void slat_vm_get(struct slat_vm *vm);

/** slat_vm_tryget() - the same, unless it is being destroyed.  Return: held? */
bool slat_vm_tryget(struct slat_vm *vm);

/** slat_vm_put() - let go; the last one frees.  Context: process, may sleep. */
void slat_vm_put(struct slat_vm *vm);

/**
 * slat_gather_finish() - make cuts final
 * @gather:	opened by slat_gather_init() on this VM's mmu
 *
 * Waits until no CPU uses a translation that was cut before the call, by this
 * gather or by another one: a caller that found nothing to cut because somebody
 * else was faster may rely on it as well.  Then frees the unlinked tables.
 *
 * Context: mmu->lock not held, interrupts on; does not sleep.
 */
void slat_gather_finish(struct slat_vm *vm, struct slat_gather *gather);

/**
 * slat_vm_kick() - take every vCPU out of the guest
 *
 * What was written before, each of them sees at the latest when it enters again.
 */
void slat_vm_kick(struct slat_vm *vm);

/** slat_vcpu_kick() - the same for one vCPU. */
void slat_vcpu_kick(struct slat_vcpu *vcpu);

/** slat_vm_stats() - fill in the counters, from exits on. */
void slat_vm_stats(struct slat_vm *vm, struct slat_stats *stats);

/**
 * slat_mmu_retry() - may pages that were looked up since @seq was read be mapped?
 * @seq:	mmu->inval_seq from before the look-up
 * @start:	host address of the first page
 * @end:	behind the last one
 *
 * Context: mmu->lock held.  Return: true when the look-up must be repeated.
 */
static inline bool slat_mmu_retry(const struct slat_mmu *mmu, unsigned long seq,
				  unsigned long start, unsigned long end)
{
	slat_rwlock_assert_held(&mmu->lock);
	return (mmu->inval_count && end > mmu->inval_start && start < mmu->inval_end) ||
	       mmu->inval_seq != seq;
}

#endif
