/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual CPUs: state, the run loop, events for the guest. */
#ifndef SLAT_VCPU_H
#define SLAT_VCPU_H

#include <linux/kvm.h>

#include "compat.h"
#include "debug.h"
#include "dirty.h"
#include "emulate.h"
#include "fault.h"
#include "guard.h"
#include "hw.h"
#include "inject.h"
#include "io.h"
#include "locks.h"
#include "mmio.h"
#include "msr.h"
#include "runstate.h"
#include "vm.h"

/* General registers by the numbers of the instruction encoding. */
enum {
	SLAT_RAX, SLAT_RCX, SLAT_RDX, SLAT_RBX, SLAT_RSP, SLAT_RBP, SLAT_RSI, SLAT_RDI,
};

#define SLAT_CPUID_MAX	256	/* entries, as KVM_SET_CPUID2 takes */

#define SLAT_CR8_MAX		15

/**
 * struct slat_vcpu_stats - counters, as struct slat_stats has them
 *
 * Written by the vCPU's thread alone, with vcpu->mutex held; read by anybody.
 */
struct slat_vcpu_stats {
	u64 exits;
	u64 user_exits;
	u64 faults;
	u64 retries;
	u64 mmio_exits;
	u64 io_exits;
};

/**
 * struct slat_limits - what the guest's CPUID and the host's CPU allow together
 * @cr4:	bits of CR4 that may be set
 * @efer:	bits of EFER that the guest may set; the VMM is bound by the host's alone
 * @tsc_aux:	RDTSCP or RDPID is there
 * @rdtscp:	RDTSCP is
 * @mtrr:	MTRRs are
 * @phys_bits:	width of the guest's physical addresses, 32..52
 */
struct slat_limits {
	u64 cr4;
	u64 efer;
	bool tsc_aux;
	bool rdtscp;
	bool mtrr;
	unsigned int phys_bits;
};

/**
 * struct slat_known_insn - the length of an instruction that exited before
 * @rip:	linear address
 * @cr3:	the address space
 * @mode:	cs_l and cs_db
 * @reason:	enum slat_exit_reason
 * @len:	bytes; 0: none known
 *
 * For CPUs that do not tell the next rip, which are emulated ones, and instructions
 * without operands, whose length only depends on their prefixes.  A guest that gives
 * one of them another prefix in place is stepped over the old length; what else it
 * does to its code or its page tables makes no difference.
 */
struct slat_known_insn {
	u64 rip;
	u64 cr3;
	u8 mode;
	u8 reason;
	u8 len;
};

#define SLAT_KNOWN_INSNS	8

/**
 * struct slat_vcpu - a virtual CPU; @mutex covers it but for what says otherwise
 * @vm:		held
 * @id:		the VMM's number
 * @serial:	never used twice, so that a CPU can tell whether it runs another one
 * @mutex:	held for all of an ioctl
 * @gpr:	general registers, current whenever the guest does not run
 * @rip:	likewise
 * @rflags:	likewise
 * @cr2:	likewise
 * @cr8:	task priority; slat_hw.set_cr8 changes it
 * @dr:		DR0 to DR3
 * @mode:	likewise; written by the vendor's code alone
 * @inner:	the guest runs one itself, whose state this is
 * @inner_tsc:	what that adds to the guest's TSC; 0 without one
 * @xcr0:	extended control register 0
 * @apic_base:	kept for the VMM
 * @msrs:	MSRs that slat keeps
 * @tsc_khz:	of the guest's TSC, as the VMM set it
 * @sigset:	signals that KVM_RUN blocks, when @has_sigset
 * @has_sigset:	the VMM set one
 * @has_run:	KVM_RUN was called
 * @fpu:	the guest's FPU state while it is not loaded
 * @cpuid:	what CPUID tells the guest
 * @nr_cpuid:	entries of it
 * @limits:	what follows from it
 * @events:	what is to be raised in the guest
 * @in_guest:	the CPU @cpu is in the guest or about to be: it has to be kicked.
 *		Read by everybody
 * @cpu:	where it ran last, -1 at first.  Read by everybody
 * @flushed_gen: the cut generation that @cpu has flushed for this vCPU; written by
 *		slat_hw.run alone.  Read by everybody
 * @guest_gen:	for flush_check.c: the cut generation that the CPU it runs on has
 *		flushed; 0: it is not in the guest
 * @guest_cpu:	likewise: which CPU that is or was
 * @noted:	jiffies of when RCU was last told that the guest is entered
 * @guards:	guest memory that its emulation is at.  Read by everybody
 * @exit:	what ended the guest's last time
 * @filler:	for faults and slat_prefault()
 * @complete:	finishes the instruction for which KVM_RUN returned to the VMM;
 *		0: returned to the VMM again, 1: done, or an errno
 * @known:	by the lowest bits of rip
 * @io:		port access under way
 * @mmio:	emulated memory access under way
 * @debug:	how the VMM debugs it
 * @msr:	MSR access under way
 * @run:	shared with the VMM, which may change it at any moment: read once
 * @io_page:	data of port accesses, likewise
 * @stats:	counters
 * @runstate:	what the guest is told of its time; has a lock of its own
 * @hw:		the vendor's part
 */
struct slat_vcpu {
	struct slat_vm *vm;
	u32 id;
	u64 serial;
	struct slat_mutex mutex;

	u64 gpr[16];
	u64 rip;
	u64 rflags;
	u64 cr2;
	u64 cr8;
	u64 dr[4];
	struct slat_mode mode;
	bool inner;
	u64 inner_tsc;
	u64 xcr0;
	u64 apic_base;
	struct slat_msrs msrs;
	u32 tsc_khz;
	sigset_t sigset;
	bool has_sigset;
	bool has_run;
	struct fpu_guest fpu;
	struct kvm_cpuid_entry2 *cpuid;
	unsigned int nr_cpuid;
	struct slat_limits limits;

	struct slat_events events;

	bool in_guest;
	int cpu;
	u64 flushed_gen;
	u64 guest_gen;
	int guest_cpu;
	unsigned long noted;

	struct slat_vcpu_guards guards;
	struct slat_exit exit;
	struct slat_filler filler;
	int (*complete)(struct slat_vcpu *vcpu);
	struct slat_known_insn known[SLAT_KNOWN_INSNS];
	struct slat_io io;
	struct slat_mmio mmio;
	struct slat_msr_access msr;
	struct slat_debug debug;
	struct kvm_run *run;
	void *io_page;
	struct slat_vcpu_stats stats;
	struct slat_runstate_vcpu runstate;
	void *hw;
};

/**
 * slat_vcpu_create() - KVM_CREATE_VCPU
 *
 * Return: a file descriptor; -EINVAL: @id or the number of vCPUs is too large;
 * -EEXIST: @id is in use; -ENOMEM, -EMFILE.
 */
int slat_vcpu_create(struct slat_vm *vm, u32 id);

/** slat_vcpu_free() - for slat_vm_put(), when nobody holds the vCPU's fd. */
void slat_vcpu_free(struct slat_vcpu *vcpu);

/**
 * slat_vcpu_run() - KVM_RUN
 *
 * Context: process, vcpu->mutex held.
 * Return: 0 with vcpu->run->exit_reason set, or an errno (uapi/linux/slat.h).
 */
int slat_vcpu_run(struct slat_vcpu *vcpu);

/**
 * slat_vcpu_skip() - the instruction at rip is done
 * @next_rip:	of the next one.  Outside of 64-bit code it is cut to 32 bits, also for
 *		16-bit code: its segment may go on behind 64K, and if it does not, that
 *		is for the CPU to find when it fetches there
 */
void slat_vcpu_skip(struct slat_vcpu *vcpu, u64 next_rip);

/** slat_vcpu_is_protected() - CR0.PE */
bool slat_vcpu_is_protected(struct slat_vcpu *vcpu);

/** slat_vcpu_shut_down() - the guest cannot go on: the run loop ends it */
void slat_vcpu_shut_down(struct slat_vcpu *vcpu);

/**
 * slat_exit_handle() - act on an exit
 *
 * Return: 1: enter the guest again; 0: return to the VMM, vcpu->run is filled in;
 * or an errno.
 */
int slat_exit_handle(struct slat_vcpu *vcpu, const struct slat_exit *exit);

/**
 * slat_exit_internal_error() - tell the VMM that slat cannot go on here
 * @suberror:	KVM_INTERNAL_ERROR_*
 * @bytes:	the instruction, as far as it was read, with @nr bytes, at most 15
 *
 * Return: 0, for slat_exit_handle()'s callers to pass on.
 */
int slat_exit_internal_error(struct slat_vcpu *vcpu, u32 suberror, const u8 *bytes,
			     unsigned int nr);

/** slat_cpuid_supported() - KVM_GET_SUPPORTED_CPUID.  Return: entries, or -E2BIG. */
int slat_cpuid_supported(struct kvm_cpuid_entry2 *entry, unsigned int max);

/** slat_cpuid_find() - the guest's entry for a leaf, or NULL. */
const struct kvm_cpuid_entry2 *slat_cpuid_find(struct slat_vcpu *vcpu, u32 function, u32 index);

/** slat_cpuid_mwait() - does the guest's CPU have MONITOR and MWAIT? */
bool slat_cpuid_mwait(struct slat_vcpu *vcpu);

/** slat_cpuid_follow() - bring up to date what follows the guest's own registers */
void slat_cpuid_follow(struct slat_vcpu *vcpu, struct kvm_cpuid_entry2 *entry);

/**
 * slat_cpuid_exit() - the guest executed CPUID: set its registers
 * Return: 0; -EPERM: its kernel wants #GP.
 */
int slat_cpuid_exit(struct slat_vcpu *vcpu);

/**
 * slat_cpuid_set() - give the guest its CPUID, and work out vcpu->limits
 * @entries:	kept, and freed with the vCPU; NULL if @nr is 0
 */
void slat_cpuid_set(struct slat_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, unsigned int nr);

/** slat_cpuid_efer() - the bits of EFER that the host's CPU has, as far as slat goes. */
u64 slat_cpuid_efer(void);

/** slat_cpuid_xcr0() - the bits of XCR0 that slat can switch; 0 without XSAVE. */
u64 slat_cpuid_xcr0(void);

/** slat_cpuid_xcr0_valid() - may XCR0 hold @xcr0? */
bool slat_cpuid_xcr0_valid(u64 xcr0);

/**
 * slat_vcpu_map() - guard a guest frame for the emulation on a vCPU
 * @access:	SLAT_R, or SLAT_R and SLAT_W
 * @host:	out: where the VMM has it
 *
 * Inline since it is done a handful of times for each instruction.
 *
 * Context: vcpu->mutex held; vm->slots_srcu as well, until it is unmapped.
 * Return: 0; -ENOENT: no slot; -EROFS: a read-only one, to be written; -EAGAIN: it is being
 * converted: let go of slots_srcu and ask slat_claim_retry().
 */
static __always_inline int slat_vcpu_map(struct slat_vcpu *vcpu, u64 gfn, unsigned int access,
					 void __user **host)
{
	const struct slat_slot *slot = slat_slot_find(vcpu->vm, gfn);
	struct slat_vcpu_guards *own = &vcpu->guards;
	u64 *frame = &own->frame[own->nr];

	if (!slot)
		return -ENOENT;
	if ((access & SLAT_W) && (slot->flags & KVM_MEM_READONLY))
		return -EROFS;
	/* Before claims are looked for; pairs with the barrier in slat_claim_begin(). */
	smp_store_mb(*frame, gfn << PAGE_SHIFT | access);
	if (slat_guards_must_yield(&vcpu->vm->guards, frame))
		return -EAGAIN;
	own->nr++;
	*host = (void __user *)slat_slot_hva(slot, gfn);
	return 0;
}

/** slat_vcpu_unmap() - the reverse, for what was mapped last. */
static __always_inline void slat_vcpu_unmap(struct slat_vcpu *vcpu)
{
	struct slat_vcpu_guards *own = &vcpu->guards;

	if (WARN_ON_ONCE(!own->nr))
		return;
	/* What was done under the guard comes before. */
	smp_store_release(&own->frame[--own->nr], 0);
}

/** slat_vcpu_mark() - the emulation has written to a frame that it has mapped. */
static __always_inline void slat_vcpu_mark(struct slat_vcpu *vcpu, u64 gfn)
{
	slat_dirty_mark(&vcpu->vm->mmu, gfn, gfn);
}

/** slat_vcpu_unmap_all() - likewise for all that is mapped. */
static __always_inline void slat_vcpu_unmap_all(struct slat_vcpu *vcpu)
{
	struct slat_vcpu_guards *own = &vcpu->guards;
	unsigned int i;

	for (i = own->nr; i; i--)
		smp_store_release(&own->frame[i - 1], 0);
	own->nr = 0;
}

/** slat_edx_eax() - the operand of WRMSR and XSETBV. */
static inline u64 slat_edx_eax(const struct slat_vcpu *vcpu)
{
	return (u32)vcpu->gpr[SLAT_RAX] | vcpu->gpr[SLAT_RDX] << 32;
}

/** slat_set_edx_eax() - the result of RDMSR. */
static inline void slat_set_edx_eax(struct slat_vcpu *vcpu, u64 value)
{
	vcpu->gpr[SLAT_RAX] = (u32)value;
	vcpu->gpr[SLAT_RDX] = value >> 32;
}

/** slat_linear_rip() - the linear address of the next instruction. */
static inline u64 slat_linear_rip(const struct slat_vcpu *vcpu)
{
	return vcpu->mode.cs_l ? vcpu->rip : (u32)(vcpu->mode.cs_base + vcpu->rip);
}

/** slat_is_canonical() - may a 64-bit guest use @gva under this CR4? */
static inline bool slat_is_canonical(u64 gva, u64 cr4)
{
	const unsigned int shift = cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(gva << shift) >> shift) == gva;
}

#endif
