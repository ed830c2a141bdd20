// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's own page tables, walked as its CPU would: every format, rights,
 * faults, accessed and dirty bits.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <asm/trapnr.h>

#include "access.h"
#include "entry.h"
#include "hw.h"
#include "user.h"
#include "vcpu.h"

#define TRIES		16

/* Error code of #PF. */
enum {
	PF_PRESENT	= BIT(0),
	PF_WRITE	= BIT(1),
	PF_USER		= BIT(2),
	PF_RESERVED	= BIT(3),
	PF_FETCH	= BIT(4),
};

/* Physical address in an entry of 8 bytes. */
#define ENTRY_ADDRESS	GENMASK_ULL(51, 12)

/* What a walk is granted; NX is turned around, so that each level can only cut. */
#define RIGHTS		(_PAGE_RW | _PAGE_USER | _PAGE_NX)

/*
 * @levels is 2 for entries of 4 bytes, else 3 to 5.  A @level counts from 1,
 * where 4K pages are mapped.
 */
struct walk {
	struct slat_vcpu *vcpu;
	const struct slat_mode *mode;
	u64 linear;
	unsigned int access;		/* 0: just look, set nothing */
	unsigned int levels;
	unsigned int level;		/* where the walk is */
	bool quiet;			/* raise nothing */
	u64 rights;
	u64 reserved;			/* bits in any entry of 8 bytes */
	u64 entry[SLAT_VCPU_GUARDS];		/* by level - 1 */
	void __user *host[SLAT_VCPU_GUARDS];	/* of the entry, NULL when it is in ROM */
};

static bool is_user(const struct walk *walk)
{
	return walk->mode->cpl == 3;
}

static unsigned int count_levels(const struct slat_mode *mode)
{
	if (mode->efer & EFER_LMA)
		return mode->cr4 & X86_CR4_LA57 ? 5 : 4;
	return mode->cr4 & X86_CR4_PAE ? 3 : 2;
}

static unsigned int entry_size(const struct walk *walk)
{
	return walk->levels == 2 ? 4 : 8;
}

static unsigned int level_shift(const struct walk *walk)
{
	return PAGE_SHIFT + (walk->level - 1) * (walk->levels == 2 ? 10 : 9);
}

static u64 root_table(const struct walk *walk)
{
	switch (walk->levels) {
	case 2:
		return walk->mode->cr3 & GENMASK_ULL(31, 12);
	case 3:
		return walk->mode->cr3 & GENMASK_ULL(31, 5);
	default:
		return walk->mode->cr3 & ENTRY_ADDRESS;
	}
}

/* The table that the walk found the entry of a level in. */
static u64 table_of(const struct walk *walk, unsigned int level)
{
	return level == walk->levels ? root_table(walk) : walk->entry[level] & ENTRY_ADDRESS;
}

static u64 entry_address(const struct walk *walk, u64 table)
{
	unsigned int size = entry_size(walk);
	u64 index = walk->linear >> level_shift(walk);

	/* the root of PAE has four entries only, but linear addresses end there */
	return table + (index & (PAGE_SIZE / size - 1)) * size;
}

/* The root entries of PAE have a format of their own, without rights and A. */
static bool is_pae_root(const struct walk *walk)
{
	return walk->levels == 3 && walk->level == 3;
}

static bool is_leaf(const struct walk *walk, u64 entry)
{
	if (walk->level == 1)
		return true;
	if (!(entry & _PAGE_PSE))
		return false;
	if (walk->level == 2)
		return walk->levels > 2 || (walk->mode->cr4 & X86_CR4_PSE);
	return walk->level == 3 && walk->levels > 3 && boot_cpu_has(X86_FEATURE_GBPAGES);
}

static unsigned int address_width(const struct walk *walk)
{
	return walk->vcpu->limits.phys_bits;
}

/* 4M pages: bits 13 to 20 are bits 32 to 39 of the address, as far as it goes. */
static u64 reserved_pse36(const struct walk *walk)
{
	return GENMASK_ULL(21, 13 + min(address_width(walk), 40u) - 32);
}

static u64 reserved_everywhere(const struct walk *walk)
{
	u64 bits = ENTRY_ADDRESS & ~GENMASK_ULL(address_width(walk) - 1, 0);

	if (!(walk->mode->efer & EFER_NX))
		bits |= _PAGE_NX;
	return walk->levels == 3 ? bits | GENMASK_ULL(62, 52) : bits;
}

static u64 reserved_bits(const struct walk *walk, u64 entry)
{
	bool leaf = is_leaf(walk, entry);
	u64 bits;

	if (walk->levels == 2)
		return leaf && walk->level == 2 ? reserved_pse36(walk) : 0;

	bits = walk->reserved;
	if (is_pae_root(walk))
		/* A is reserved, too, but CPUs that read these like other entries set it. */
		bits |= _PAGE_NX | GENMASK_ULL(8, 6) | GENMASK_ULL(2, 1);
	if (!leaf)
		return bits | _PAGE_PSE;
	/* bit 12 is PAT in a large leaf */
	return walk->level == 1 ? bits : bits | GENMASK_ULL(level_shift(walk) - 1, 13);
}

static int page_fault(const struct walk *walk, u32 error)
{
	const struct slat_mode *mode = walk->mode;

	if (walk->access & SLAT_W)
		error |= PF_WRITE;
	if (is_user(walk))
		error |= PF_USER;
	if ((walk->access & SLAT_X) &&
	    ((mode->cr4 & X86_CR4_SMEP) || (walk->levels > 2 && (mode->efer & EFER_NX))))
		error |= PF_FETCH;

	if (walk->quiet)
		return SLAT_INJECTED;
	walk->vcpu->cr2 = walk->linear;
	slat_vcpu_inject(walk->vcpu, X86_TRAP_PF, true, error);
	return SLAT_INJECTED;
}

/* Without memory there, nothing is present.  Guarded to the end of the walk. */
static int map_entry(struct walk *walk, u64 gpa, void __user **host)
{
	const u64 gfn = gpa >> PAGE_SHIFT;
	int err = slat_vcpu_map(walk->vcpu, gfn, SLAT_R | SLAT_W, host);
	const bool is_rom = err == -EROFS;

	if (is_rom)
		err = slat_vcpu_map(walk->vcpu, gfn, SLAT_R, host);
	if (err)
		return err == -ENOENT ? page_fault(walk, 0) : err;
	*host += offset_in_page(gpa);
	walk->host[walk->level - 1] = is_rom ? NULL : *host;
	return 0;
}

static int read_entry(struct walk *walk, u64 gpa)
{
	unsigned int i = walk->level - 1;
	void __user *host;
	u32 entry;
	int err = map_entry(walk, gpa, &host);

	if (err)
		return err;
	if (walk->levels > 2)
		return slat_get_user_again(walk->entry[i], (u64 __user *)host);
	err = slat_get_user_again(entry, (u32 __user *)host);
	walk->entry[i] = entry;
	return err;
}

static int check_entry(struct walk *walk)
{
	u64 entry = walk->entry[walk->level - 1];

	if (!(entry & _PAGE_PRESENT))
		return page_fault(walk, 0);
	if (entry & reserved_bits(walk, entry))
		return page_fault(walk, PF_PRESENT | PF_RESERVED);
	if (!is_pae_root(walk))
		walk->rights &= entry ^ _PAGE_NX;
	return 0;
}

/* Down to the leaf, where walk->level stays. */
static int descend(struct walk *walk)
{
	u64 table = root_table(walk);
	u64 entry;
	int err;

	walk->rights = RIGHTS;
	for (walk->level = walk->levels;; walk->level--) {
		err = read_entry(walk, entry_address(walk, table));
		if (!err)
			err = check_entry(walk);
		if (err)
			return err;
		entry = walk->entry[walk->level - 1];
		if (is_leaf(walk, entry))
			return 0;
		table = entry & ENTRY_ADDRESS;
	}
}

static bool is_allowed(const struct walk *walk)
{
	const struct slat_mode *mode = walk->mode;
	bool user = is_user(walk);
	bool supervisor_on_user = !user && (walk->rights & _PAGE_USER);

	if (user && !(walk->rights & _PAGE_USER))
		return false;
	if ((walk->access & SLAT_W) && !(walk->rights & _PAGE_RW) &&
	    (user || (mode->cr0 & X86_CR0_WP)))
		return false;
	if (walk->access & SLAT_X)
		return (walk->rights & _PAGE_NX) &&
		       !(supervisor_on_user && (mode->cr4 & X86_CR4_SMEP));
	return !(supervisor_on_user && (mode->cr4 & X86_CR4_SMAP) &&
		 !(walk->vcpu->rflags & X86_EFLAGS_AC));
}

/* Return: 0; 1: the entry has changed; -EFAULT. */
static int exchange_entry(struct walk *walk, unsigned int i, u64 new)
{
	void __user *host = walk->host[i];
	u64 *entry = &walk->entry[i];
	u32 old = *entry;

	if (walk->levels > 2)
		return slat_try_cmpxchg_user((u64 __user *)host, entry, new, fault8);
	return slat_try_cmpxchg_user((u32 __user *)host, &old, (u32)new, fault4);
}

/*
 * Set bits only in the entry that was looked at: the guest may be changing it.
 * ROM drops them.
 */
static int set_bits(struct walk *walk, unsigned int level, u64 bits)
{
	u64 new = walk->entry[level - 1] | bits;
	int err;

	if (walk->entry[level - 1] == new || !walk->host[level - 1])
		return 0;
	err = exchange_entry(walk, level - 1, new);
	if (!err)
		slat_vcpu_mark(walk->vcpu, table_of(walk, level) >> PAGE_SHIFT);
	return err > 0 ? -EAGAIN : err;
}

static int set_accessed_dirty(struct walk *walk)
{
	unsigned int level;
	u64 bits;
	int err;

	for (level = walk->levels; level >= walk->level; level--) {
		if (walk->levels == 3 && level == 3)
			continue;
		bits = _PAGE_ACCESSED;
		if (level == walk->level && (walk->access & SLAT_W))
			bits |= _PAGE_DIRTY;
		err = set_bits(walk, level, bits);
		if (err)
			return err;
	}
	return 0;
}

static int walk_once(struct walk *walk)
{
	int err = descend(walk);

	if (err || !walk->access)
		return err;
	if (!is_allowed(walk))
		return page_fault(walk, PF_PRESENT);
	return set_accessed_dirty(walk);
}

static u64 leaf_address(const struct walk *walk)
{
	u64 entry = walk->entry[walk->level - 1];
	u64 offset = GENMASK_ULL(level_shift(walk) - 1, 0);
	u64 base = entry & ENTRY_ADDRESS & ~offset;

	if (walk->levels == 2 && walk->level == 2)
		base |= (entry & GENMASK_ULL(20, 13)) << (32 - 13);
	return base | (walk->linear & offset);
}

static int walk_guarded(struct walk *walk)
{
	struct slat_vm *vm = walk->vcpu->vm;
	int idx = slat_srcu_read_lock(&vm->slots_srcu);
	int err;

	/* For all the entries that it reads. */
	slat_user_access();
	err = walk_once(walk);
	slat_vcpu_unmap_all(walk->vcpu);
	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	return err;
}

static int walk_tables(struct walk *walk)
{
	unsigned int tries;
	int err;

	walk->reserved = reserved_everywhere(walk);
	for (tries = 0; tries < TRIES; tries++) {
		err = walk_guarded(walk);
		if (!slat_claim_retry(walk->vcpu->vm, &err))
			return err;
	}
	/* The guest may fight with itself: not for ever in here. */
	return SLAT_INJECTED;
}

static int translate(struct walk *walk, u64 *gpa)
{
	int err;

	*gpa = walk->linear;
	if (!(walk->mode->cr0 & X86_CR0_PG))
		return 0;
	walk->levels = count_levels(walk->mode);
	err = walk_tables(walk);
	if (!err)
		*gpa = leaf_address(walk);
	return err;
}

int slat_translate(struct slat_vcpu *vcpu, u64 linear, unsigned int access, u64 *gpa)
{
	struct walk walk = { .vcpu = vcpu, .access = access, .mode = &vcpu->mode };

	walk.linear = walk.mode->cs_l ? linear : (u32)linear;
	return translate(&walk, gpa);
}

int slat_translate_try(struct slat_vcpu *vcpu, u64 linear, unsigned int access, u64 *gpa)
{
	struct walk walk = { .vcpu = vcpu, .access = access, .quiet = true, .mode = &vcpu->mode };
	int err;

	walk.linear = walk.mode->cs_l ? linear : (u32)linear;
	if (walk.mode->cs_l && !slat_is_canonical(linear, walk.mode->cr4))
		return -ENOENT;
	err = translate(&walk, gpa);
	return err > 0 ? -ENOENT : err;
}

bool slat_translate_quietly(struct slat_vcpu *vcpu, u64 linear, u64 *gpa)
{
	struct walk walk = { .vcpu = vcpu, .quiet = true, .mode = &vcpu->mode };

	/* The VMM's addresses do not depend on the code that happens to run. */
	walk.linear = walk.mode->efer & EFER_LMA ? linear : (u32)linear;
	if ((walk.mode->efer & EFER_LMA) && !slat_is_canonical(linear, walk.mode->cr4))
		return false;
	return !translate(&walk, gpa);
}
