/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory types: how the CPU is to cache what a leaf maps.
 *
 * memtype_rule.c is the rule, pure functions that user space compiles, too.
 * memtype.c applies it to a VM: what its devices need, which ranges are pinned, what
 * the guest's MTRRs say.  All that decides is changed with the table lock held for
 * write and read with it held: a leaf that is entered after a change has the new
 * type, and those from before are dropped by the one who made the change.
 */
#ifndef SLAT_MEMTYPE_H
#define SLAT_MEMTYPE_H

#include "entry.h"
#include "msr.h"
#include "pin.h"

struct slat_pfnmap;
struct slat_slot;
struct slat_vcpu;
struct slat_vm;

/**
 * struct slat_memtype_input - all that the type of a frame depends on
 * @has_ipat:	the format can make the CPU ignore the guest's PAT
 * @types:	what the format has here: BIT(enum slat_memtype)
 * @is_mmio:	direct MMIO: registers or memory of a device, not RAM
 * @is_read_only: the guest must not write there
 * @is_special:	a page of slat's own that stands in for a device
 * @noncoherent: a device is attached whose DMA bypasses the CPUs' caches
 * @cache_flush: the guest may flush the CPUs' caches
 * @pinned:	the type that the VMM wants, or SLAT_PIN_NONE
 * @guest:	what the guest's MTRRs say
 * @host:	how the host maps the frame
 */
struct slat_memtype_input {
	bool has_ipat;
	unsigned int types;
	bool is_mmio;
	bool is_read_only;
	bool is_special;
	bool noncoherent;
	bool cache_flush;
	unsigned int pinned;
	unsigned int guest;
	unsigned int host;
};

/** slat_memtype_decide() - the rule.  Return: for a leaf, SLAT_MT_IPAT included. */
unsigned int slat_memtype_decide(const struct slat_memtype_input *in);

/**
 * slat_mtrrs_type() - what MTRRs say of a guest frame
 * @last:	set to the last frame up to which they say the same for sure
 */
unsigned int slat_mtrrs_type(const struct slat_mtrrs *mtrrs, u64 gfn, u64 *last);

/**
 * struct slat_memtypes - what decides the types of a VM's memory
 * @noncoherent: as in struct slat_memtype_input
 * @cache_flush: likewise
 * @mtrrs:	those of the vCPU that boots, as far as its CPUID has them
 * @pins:	what the VMM has pinned; changed under slots_lock as well
 * @ram:	the type of all RAM while none of these has a say; never changes
 *
 * Written with mmu->lock held for write, read with it held; @noncoherent and @cache_flush
 * also without, when the guest flushes its caches.
 *
 * The architecture wants all CPUs' MTRRs to be alike, and tables have one type a
 * frame for all vCPUs: so those of one vCPU count.  The one that boots is the first to
 * have them set; the others may start with theirs off, which would make memory UC.
 *
 * CR0.CD is not among it: SVM applies the guest's own.
 */
struct slat_memtypes {
	bool noncoherent;
	bool cache_flush;
	struct slat_mtrrs mtrrs;
	struct slat_pins pins;
	unsigned int ram;
};

/** slat_memtypes_open() - do pins and the guest have a say about RAM?  Context: mmu->lock. */
static inline bool slat_memtypes_open(const struct slat_memtypes *types)
{
	return types->noncoherent | types->cache_flush;
}

/** slat_memtypes_init() - of a VM without devices and vCPUs. */
void slat_memtypes_init(struct slat_vm *vm);

/** slat_memtypes_destroy() - nobody uses the VM any more. */
void slat_memtypes_destroy(struct slat_vm *vm);

/**
 * slat_memtype() - the type of the leaf for a guest frame
 * @slot:	that the frame is in
 * @pfnmap:	what is known of the host's frame; NULL: it is RAM, with page structure
 *
 * Context: mmu->lock held, read suffices, until the leaf is entered.
 * Return: for struct slat_map, all flags included.
 */
unsigned int slat_memtype(struct slat_vm *vm, const struct slat_slot *slot, u64 gfn,
			  const struct slat_pfnmap *pfnmap);

/**
 * slat_memtype_level() - how large may a leaf for RAM be?
 * @slot:	that all of the leaf is in
 * @level:	of the largest leaf wished
 *
 * Context: as slat_memtype().  For VMs whose slat_memtypes_open().
 * Return: the largest level up to @level of which the leaf around @gfn has one type.
 */
unsigned int slat_memtype_level(struct slat_vm *vm, const struct slat_slot *slot, u64 gfn,
				unsigned int level);

/**
 * slat_memtype_follow_mtrrs() - a vCPU's MTRRs may have changed, or its CPUID
 *
 * Context: process, may sleep, vcpu->mutex held.  On return no CPU uses a type that
 * no longer holds.
 */
void slat_memtype_follow_mtrrs(struct slat_vcpu *vcpu);

/**
 * slat_memtype_flush_caches() - the guest executed WBINVD or INVD
 *
 * Context: process, interrupts on.
 */
void slat_memtype_flush_caches(struct slat_vm *vm);

/**
 * slat_memtype_set() - say what a VM's devices need
 * @attribute:	SLAT_ATTR_NONCOHERENT_DMA or SLAT_ATTR_CACHE_FLUSH
 *
 * Context: process, may sleep.  As slat_memtype_follow_mtrrs().
 */
void slat_memtype_set(struct slat_vm *vm, u32 attribute, bool value);

/**
 * slat_memtype_pin() - pin the type of a range of guest memory
 * @first:	gfn
 * @last:	inclusive
 * @type:	enum slat_memtype, or SLAT_PIN_NONE to unpin
 *
 * Context: process, may sleep; takes vm->slots_lock.  As slat_memtype_follow_mtrrs().
 * Return: 0; -ENOSPC: there would be more than SLAT_PINS_MAX ranges; -ENOMEM.
 * Then nothing has changed.
 */
int slat_memtype_pin(struct slat_vm *vm, u64 first, u64 last, unsigned int type);

#endif
