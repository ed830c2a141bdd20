/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guards: whoever touches guest memory in the kernel says so first, by gfn, and as long
 * as it does.
 *
 * A guard keeps its frames from being converted (slat_claim_begin()), and nothing else.
 * The host may take the memory away at any moment, and its notifier waits for nobody.
 *
 * There are two kinds:
 *
 * slat_gfn_map() references the page.  Its address is good until it is unmapped, also on
 * a page that the VMM has dropped meanwhile.  Guards that outlive the call, and code that
 * wants a kernel address.
 *
 * slat_vcpu_map() (vcpu.h) is for the emulation of instructions, which touches a handful of frames
 * for each, page tables above all.  It goes through the VMM's own mapping, as the VMM
 * itself would: what it accesses is there or is faulted in, memory without page structures
 * as well, and the CPU notes what was written.  So nothing is looked up or referenced, and
 * a guard is a store and a barrier.
 */
#ifndef SLAT_GUARD_H
#define SLAT_GUARD_H

#include <linux/bits.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "locks.h"

struct page;
struct seq_file;
struct slat_vcpu;
struct slat_vm;

/*
 * Room for guards that end with the call.  Each CPU looks in a cache line of its own, as
 * long as there are.
 */
#define SLAT_GUARD_SLOTS	64
#define SLAT_GUARD_SLOTS_LINE	4

/**
 * struct slat_guard_slot - a guard that ends with the call
 * @frame:	address of the frame, with SLAT_R and SLAT_W in its low bits; 0: none.
 *		Whoever exchanges 0 for it has the slot
 * @owner:	for debugfs, of this guard or of the last
 */
struct slat_guard_slot {
	u64 frame;
	const char *owner;
};

/**
 * struct slat_guards - the guards of a VM
 * @slot:	of slat_gfn_map() without SLAT_GUARD_LONG
 * @lock:	covers all that follows
 * @held:	with it, and those that found no room, by gfn
 * @claims:	conversions under way
 * @nr_claims:	of them; looked at without @lock
 * @nr_ended:	how many there were; likewise
 * @ended:	woken when one ends
 * @claim:	what waiting for one is to the lock checker
 */
struct slat_guards {
	struct slat_guard_slot slot[SLAT_GUARD_SLOTS];
	struct slat_spinlock lock;
	struct rb_root_cached held;
	struct list_head claims;
	unsigned int nr_claims;
	unsigned int nr_ended;
	wait_queue_head_t ended;
	struct slat_lock_id claim;
};

void slat_guards_init(struct slat_vm *vm);

/** slat_guards_destroy() - nobody uses the VM any more, so nothing is guarded. */
void slat_guards_destroy(struct slat_vm *vm);

/** slat_guards_show() - a line "FIRST-LAST ACCESS OWNER" for each guard, in bytes. */
void slat_guards_show(struct slat_vm *vm, struct seq_file *file);

/*
 * Beside SLAT_R and SLAT_W: the guard outlives the call that takes it.  Its page is then
 * such that the host can do without it for as long.
 */
#define SLAT_GUARD_LONG		BIT(8)

/**
 * struct slat_guard - a guest frame that is mapped
 * @node:	in &slat_guards.held, without @slot
 * @slot:	in &slat_guards.slot, or NULL
 * @vm:		whose; NULL: nothing is mapped
 * @owner:	for debugfs
 * @access:	SLAT_R, SLAT_W, SLAT_GUARD_LONG
 * @page:	referenced
 * @host:	its kernel address
 *
 * The caller's: filled in by slat_gfn_map(), read by others until slat_gfn_unmap().
 */
struct slat_guard {
	struct interval_tree_node node;
	struct slat_guard_slot *slot;
	struct slat_vm *vm;
	const char *owner;
	unsigned int access;
	struct page *page;
	void *host;
};

/**
 * slat_gfn_map() - guard a guest frame and get at the page behind it
 * @access:	SLAT_R, or SLAT_R and SLAT_W, and SLAT_GUARD_LONG where that is so.  For
 *		writing or for long, a page that is shared (KSM, copy-on-write) is unshared
 * @owner:	in a word or two; a constant
 *
 * Waits while the frame is being converted.
 *
 * Context: process, in the VM's mm, without vm->slots_srcu; may sleep and fault.
 * Return: 0; -ENOENT: no slot there; -EROFS: a read-only one, to be written; -EFAULT: the
 * host has no memory there or does not allow the access; -ENXIO: memory without page
 * structures, as drivers map it; -EOPNOTSUPP: no such page for long; -EINTR: a fatal
 * signal; -ENOMEM.  Then nothing is mapped.
 */
int slat_gfn_map(struct slat_vm *vm, u64 gfn, unsigned int access, const char *owner,
		 struct slat_guard *guard);

/**
 * slat_gfn_unmap() - the reverse
 * @wrote:	it was written to: marks it dirty, to the host and in the dirty log
 *
 * Context: process, in whichever mm; may sleep.
 */
void slat_gfn_unmap(struct slat_guard *guard, bool wrote);

/**
 * slat_gfn_map_range() - guard a range of frames for long, for a window
 * @nr:		of frames, not 0
 * @access:	as slat_gfn_map() takes it; SLAT_GUARD_LONG is understood
 * @guard:	of all of them; its @page and @host are not set
 * @pages:	out: theirs
 *
 * Context, return: as slat_gfn_map(); -EINTR for any signal.
 */
int slat_gfn_map_range(struct slat_vm *vm, u64 gfn, unsigned long nr, unsigned int access,
		       struct slat_guard *guard, struct page **pages);

/** slat_gfn_unmap_range() - the reverse, as slat_gfn_unmap() for each. */
void slat_gfn_unmap_range(struct slat_guard *guard, struct page **pages, bool wrote);

/**
 * slat_guards_yield() - a vCPU has a guard on a frame, and there are claims
 * @frame:	in its &struct slat_vcpu_guards; taken back if the frame is claimed
 *
 * Return: whether it is.
 */
bool slat_guards_yield(struct slat_guards *guards, u64 *frame);

/**
 * slat_guards_must_yield() - likewise, just after the guard was made known
 *
 * With acquire: what a claim that is over has converted is seen to be.
 */
static __always_inline bool slat_guards_must_yield(struct slat_guards *guards, u64 *frame)
{
	return unlikely(smp_load_acquire(&guards->nr_claims)) && slat_guards_yield(guards, frame);
}

/**
 * slat_guards_mark() - mark in the dirty logs what is guarded for long, to write
 *
 * Context: mmu->lock held, read suffices.
 */
void slat_guards_mark(struct slat_vm *vm, u64 first, u64 last);

/* As many as a walk of page tables takes. */
#define SLAT_VCPU_GUARDS	5

/**
 * struct slat_vcpu_guards - frames that the emulation on a vCPU is at
 * @frame:	address of the frame, with SLAT_R and SLAT_W in its low bits; 0: none.
 *		Written by the vCPU's thread, read by whoever claims frames
 * @nr:		how many there are, the first ones
 */
struct slat_vcpu_guards {
	u64 frame[SLAT_VCPU_GUARDS];
	unsigned int nr;
};

/**
 * slat_claim_wait() - wait for the end of a conversion, if there is one
 *
 * Context: process, without vm->slots_srcu; may sleep.
 * Return: 0; -EINTR: a fatal signal.
 */
int slat_claim_wait(struct slat_vm *vm);

/**
 * slat_claim_retry() - is an access to be tried again?
 * @err:	what became of it.  After -EAGAIN, waits as slat_claim_wait() does; -EINTR if
 *		that fails
 */
static inline bool slat_claim_retry(struct slat_vm *vm, int *err)
{
	if (likely(*err != -EAGAIN))
		return false;
	*err = slat_claim_wait(vm);
	return !*err;
}

/**
 * struct slat_claim - frames that are being converted
 * @link:	in &slat_guards.claims
 * @first:	gfn
 * @last:	gfn
 */
struct slat_claim {
	struct list_head link;
	u64 first;
	u64 last;
};

/**
 * slat_claim_begin() - have frames to convert, or none
 * @claim:	@first and @last are filled in
 *
 * Until slat_claim_end() nobody guards any of them: whoever wants to waits.
 *
 * Context: does not wait for guards.  Whoever waits for the claim may hold a vCPU's mutex
 * meanwhile, so it is not to be held for long, and nothing outside of @claim in locks.h is
 * to be taken.
 * Return: 0, or -EBUSY: some of them are guarded, or being converted.
 */
int slat_claim_begin(struct slat_vm *vm, struct slat_claim *claim);

/** slat_claim_end() - done with them. */
void slat_claim_end(struct slat_vm *vm, struct slat_claim *claim);

#endif
