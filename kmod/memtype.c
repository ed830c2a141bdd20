// SPDX-License-Identifier: GPL-2.0-only
/* The memory types of a VM, and what becomes of its leaves when they change. */
#include <linux/smp.h>

#include <uapi/linux/slat.h>

#include "memtype.h"
#include "pfnmap.h"
#include "slot.h"
#include "vcpu.h"

#define GFN_LAST	(~0ULL)

/* Without MTRRs in its CPUID, a guest expects memory to be WB. */
static const struct slat_mtrrs no_mtrrs = { .def_type = SLAT_MTRR_E | SLAT_MT_WB };

static bool has_ipat(const struct slat_vm *vm)
{
	return vm->mmu.ops == &ept_table_ops;
}

/* Where the guest does not run, a format has them all. */
static unsigned int format_types(const struct slat_vm *vm)
{
	return vm->mmu.ops == slat_hw->table_ops ? slat_hw_types : ~0U;
}

static struct slat_memtype_input input(const struct slat_vm *vm, const struct slat_slot *slot,
				       const struct slat_pfnmap *pfnmap)
{
	return (struct slat_memtype_input) {
		.has_ipat = has_ipat(vm),
		.types = format_types(vm),
		.is_mmio = pfnmap && pfnmap->is_mmio,
		.is_read_only = slot->flags & KVM_MEM_READONLY,
		.noncoherent = vm->memtypes.noncoherent,
		.cache_flush = vm->memtypes.cache_flush,
		.pinned = SLAT_PIN_NONE,
		.guest = SLAT_MT_WB,
		.host = pfnmap ? pfnmap->type : SLAT_MT_WB,
	};
}

/* Add what depends on the gfn.  *@last: up to there nothing else does. */
static unsigned int decide(const struct slat_memtypes *types, struct slat_memtype_input *in,
			   u64 gfn, u64 *last)
{
	u64 last_pin;

	in->pinned = slat_pins_type(&types->pins, gfn, &last_pin);
	in->guest = slat_mtrrs_type(&types->mtrrs, gfn, last);
	*last = min(*last, last_pin);
	return slat_memtype_decide(in);
}

unsigned int slat_memtype(struct slat_vm *vm, const struct slat_slot *slot, u64 gfn,
			  const struct slat_pfnmap *pfnmap)
{
	struct slat_memtype_input in = input(vm, slot, pfnmap);
	unsigned int type;
	u64 last;

	slat_rwlock_assert_held(&vm->mmu.lock);
	type = slat_memtypes_open(&vm->memtypes) ? decide(&vm->memtypes, &in, gfn, &last) :
						   slat_memtype_decide(&in);
	return type | (pfnmap ? SLAT_MT_NO_PAGE : 0);
}

static bool is_uniform(const struct slat_memtypes *types, struct slat_memtype_input *in,
		       u64 first, u64 last)
{
	u64 end;
	const unsigned int type = decide(types, in, first, &end);

	while (end < last)
		if (decide(types, in, end + 1, &end) != type)
			return false;
	return true;
}

unsigned int slat_memtype_level(struct slat_vm *vm, const struct slat_slot *slot, u64 gfn,
				unsigned int level)
{
	struct slat_memtype_input in = input(vm, slot, NULL);

	slat_rwlock_assert_held(&vm->mmu.lock);
	for (; level > 1; level--) {
		const u64 offsets = slat_span(level) - 1;

		if (is_uniform(&vm->memtypes, &in, gfn & ~offsets, gfn | offsets))
			break;
	}
	return level;
}

/* Drop the leaves of a range: faults bring them back with the types of today. */
static void rederive(struct slat_vm *vm, u64 first, u64 last, struct slat_gather *gather)
{
	/* Without its tables, so that large leaves find room. */
	slat_view_zap(&vm->base, first, last, true, true, gather);
}

static void rederive_mtrrs(struct slat_vm *vm, const struct slat_mtrrs *old,
			   const struct slat_mtrrs *new)
{
	struct slat_gather gather;
	u64 gfn = 0, last, last_new;

	slat_gather_init(&gather, &vm->mmu);
	do {
		const unsigned int type = slat_mtrrs_type(old, gfn, &last);
		const unsigned int type_new = slat_mtrrs_type(new, gfn, &last_new);

		last = min(last, last_new);
		if (type != type_new)
			rederive(vm, gfn, last, &gather);
		gfn = last + 1;
	} while (last != GFN_LAST);
	slat_gather_finish(vm, &gather);
}

void slat_memtype_follow_mtrrs(struct slat_vcpu *vcpu)
{
	const struct slat_mtrrs *new = vcpu->limits.mtrr ? &vcpu->msrs.mtrrs : &no_mtrrs;
	struct slat_vm *vm = vcpu->vm;
	struct slat_memtypes *types = &vm->memtypes;
	struct slat_mtrrs old;
	bool open;

	/* Settled before the first vCPU. */
	if (vcpu->id != vm->boot_cpu_id)
		return;
	slat_write_lock(&vm->mmu.lock);
	old = types->mtrrs;
	types->mtrrs = *new;
	open = slat_memtypes_open(types);
	slat_write_unlock(&vm->mmu.lock);
	if (open)
		rederive_mtrrs(vm, &old, new);
}

void slat_memtype_flush_caches(struct slat_vm *vm)
{
	const struct slat_memtypes *types = &vm->memtypes;

	/* Without the lock: a device is attached before the guest can know of it. */
	if (READ_ONCE(types->noncoherent) || READ_ONCE(types->cache_flush))
		wbinvd_on_all_cpus();
}

void slat_memtype_set(struct slat_vm *vm, u32 attribute, bool value)
{
	struct slat_memtypes *types = &vm->memtypes;
	struct slat_gather gather;
	bool was_open, open;

	slat_write_lock(&vm->mmu.lock);
	was_open = slat_memtypes_open(types);
	if (attribute == SLAT_ATTR_NONCOHERENT_DMA)
		WRITE_ONCE(types->noncoherent, value);
	else
		WRITE_ONCE(types->cache_flush, value);
	open = slat_memtypes_open(types);
	slat_write_unlock(&vm->mmu.lock);
	if (open == was_open)
		return;
	slat_gather_init(&gather, &vm->mmu);
	rederive(vm, 0, GFN_LAST, &gather);
	slat_gather_finish(vm, &gather);
}

static void commit_pin(struct slat_vm *vm, struct slat_pin_change *change)
{
	const u64 first = change->first, last = change->last;
	struct slat_gather gather;
	bool open;

	slat_write_lock(&vm->mmu.lock);
	slat_pins_commit(&vm->memtypes.pins, change);
	open = slat_memtypes_open(&vm->memtypes);
	slat_write_unlock(&vm->mmu.lock);
	if (!open)
		return;
	slat_gather_init(&gather, &vm->mmu);
	rederive(vm, first, last, &gather);
	slat_gather_finish(vm, &gather);
}

int slat_memtype_pin(struct slat_vm *vm, u64 first, u64 last, unsigned int type)
{
	struct slat_pin_change change = { .first = first, .last = last, .type = type };
	int ret;

	slat_mutex_lock(&vm->slots_lock);
	ret = slat_pins_prepare(&vm->memtypes.pins, &change);
	if (!ret)
		commit_pin(vm, &change);
	slat_pins_finish(&change);
	slat_mutex_unlock(&vm->slots_lock);
	return ret;
}

void slat_memtypes_init(struct slat_vm *vm)
{
	const struct slat_slot any = { };
	const struct slat_memtype_input in = input(vm, &any, NULL);

	vm->memtypes.mtrrs = no_mtrrs;
	vm->memtypes.pins.tree = RB_ROOT_CACHED;
	vm->memtypes.ram = slat_memtype_decide(&in);
}

void slat_memtypes_destroy(struct slat_vm *vm)
{
	slat_pins_destroy(&vm->memtypes.pins);
}
