/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In place of kmod/vcpu.h: as much of a VM and a vCPU as the files that access
 * guest memory need.  -include it before everything else.
 */
#ifndef SLAT_VCPU_H
#define SLAT_VCPU_H

#include <errno.h>
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

#include "hw.h"
#include "io.h"
#include "inject.h"
#include "mmio.h"

#define U16_MAX		((u16)~0)
#define U32_MAX		((u32)~0)
#define EFER_LMA	BIT(10)
#define EFER_NX		BIT(11)
#define _PAGE_PRESENT	BIT(0)
#define _PAGE_RW	BIT(1)
#define _PAGE_USER	BIT(2)
#define _PAGE_ACCESSED	BIT(5)
#define _PAGE_DIRTY	BIT(6)
#define _PAGE_PSE	BIT(7)
#define _PAGE_NX	BIT(63)
#define boot_cpu_has(feature) true

#ifndef READ_ONCE
#define READ_ONCE(x)	(*(volatile __typeof__(x) *)&(x))
#endif

enum {
	SLAT_RAX, SLAT_RCX, SLAT_RDX, SLAT_RBX, SLAT_RSP, SLAT_RBP, SLAT_RSI, SLAT_RDI,
};

#define SHIM_SLOTS	4

struct slat_slot {
	u64 gfn;
	u64 npages;
	unsigned long hva;
	u32 flags;
};

struct slat_vm {
	int slots_srcu;			/* readers */
	struct slat_slot slot[SHIM_SLOTS];
};

struct slat_vcpu {
	struct slat_vm *vm;
	u64 gpr[16];
	u64 rip;
	u64 rflags;
	u64 cr2;
	unsigned int nr_guards;
	struct slat_events events;
	int (*complete)(struct slat_vcpu *vcpu);
	struct slat_io io;
	struct slat_mmio mmio;
	struct kvm_run *run;
	void *io_page;
	struct {
		u64 mmio_exits;
		u64 io_exits;
	} stats;

	/* what kmod/ has elsewhere */
	struct slat_mode mode;
	struct kvm_segment segment[6];
	struct {
		unsigned int phys_bits;
	} limits;
};

static inline bool slat_immediate_exit(const struct kvm_run *run)
{
	return run->immediate_exit;
}

static inline unsigned long slat_slot_hva(const struct slat_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

static inline u64 slat_linear_rip(const struct slat_vcpu *vcpu)
{
	return vcpu->mode.cs_l ? vcpu->rip : (u32)(vcpu->mode.cs_base + vcpu->rip);
}

static inline bool slat_is_canonical(u64 gva, u64 cr4)
{
	unsigned int shift = cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(gva << shift) >> shift) == gva;
}

/* How often a frame is being converted just when it is to be guarded. */
extern unsigned int shim_claims;

int slat_vcpu_map(struct slat_vcpu *vcpu, u64 gfn, unsigned int access, void **host);
void slat_vcpu_unmap(struct slat_vcpu *vcpu);
void slat_vcpu_unmap_all(struct slat_vcpu *vcpu);
#define SLAT_VCPU_GUARDS	5

/* Frames that were marked in the dirty log, in this order. */
extern u64 shim_marked[16];
extern unsigned int shim_nr_marked;
void slat_vcpu_mark(struct slat_vcpu *vcpu, u64 gfn);

static inline bool slat_claim_retry(struct slat_vm *vm, int *err)
{
	if (*err != -EAGAIN)
		return false;
	*err = 0;
	return true;
}

struct slat_slot *slat_slot_find(struct slat_vm *vm, u64 gfn);
void slat_vcpu_skip(struct slat_vcpu *vcpu, u64 next_rip);
void slat_vcpu_inject(struct slat_vcpu *vcpu, u8 vector, bool has_error, u32 error);
int slat_exit_internal_error(struct slat_vcpu *vcpu, u32 suberror, const u8 *bytes,
			     unsigned int nr);

/* Numbers that look random and are the same in every run. */
u64 shim_random(void);

static inline bool shim_one_in(unsigned int n)
{
	return shim_random() % n == 0;
}

#endif
