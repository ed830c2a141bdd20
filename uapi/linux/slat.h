/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * User interface of slat, a nested-paging backend behind /dev/slat.
 *
 * The base interface is KVM's: the ioctls below are those of <linux/kvm.h>, with
 * its numbers, structures and errors, and a program written for KVM runs by
 * opening /dev/slat in place of /dev/kvm.  What slat adds has ioctls of its own,
 * further down.  An ioctl that is not named in this file gives -ENOTTY.
 *
 * System (the fd of /dev/slat)
 *   KVM_GET_API_VERSION      KVM_API_VERSION
 *   KVM_CHECK_EXTENSION      0 for whatever is not built
 *   KVM_CREATE_VM            type 0 or SLAT_VM_*; -EINVAL for another, -EBUSY while somebody
 *                            else (KVM) holds the CPU's virtualization
 *   KVM_GET_VCPU_MMAP_SIZE   bytes to map of a vCPU fd
 *   KVM_GET_SUPPORTED_CPUID  -E2BIG when nent is too small.  KVM's own leaves tell
 *                            of KVM_FEATURE_NOP_IO_DELAY alone: there is no
 *                            kvmclock, no asynchronous page fault, no hint.  SVM
 *                            is among it with the module's parameter nested=1,
 *                            without nested paging or another of its extensions
 *   KVM_GET_EMULATED_CPUID   no entry: no feature is emulated that the CPU lacks.
 *                            -E2BIG: no room for one; -EINVAL: padding that is
 *                            not 0
 *   KVM_GET_MSR_INDEX_LIST   the MSRs that a VMM has to move
 *   KVM_GET_MSR_FEATURE_INDEX_LIST
 *                            the MSRs that tell of the host.  Both: -E2BIG: nmsrs
 *                            is too small, and is set to what is needed
 *   KVM_GET_MSRS             what these tell.  -E2BIG: more than 255
 *   KVM_X86_GET_MCE_CAP_SUPPORTED
 *
 * VM
 *   KVM_CHECK_EXTENSION      as above
 *   KVM_CREATE_VCPU          -EEXIST: id in use; -EINVAL: id or count too large
 *   KVM_SET_USER_MEMORY_REGION
 *                            create, move, delete; KVM_MEM_READONLY and
 *                            KVM_MEM_LOG_DIRTY_PAGES, the latter also for a slot
 *                            that is there.  A slot that moves keeps its log.
 *                            -EINVAL: a flag not known, slot number, alignment,
 *                            wrap, outside user space or the CPU's physical
 *                            addresses, 8T or more, no such slot, a change of
 *                            size, of host address or of KVM_MEM_READONLY;
 *                            -EEXIST: overlaps another slot; -ENOMEM
 *   KVM_GET_DIRTY_LOG        the pages written since the last call, by the guest
 *                            and on its behalf.  Those of runstate areas and of
 *                            windows to write, both below, are dirty each time.
 *                            A guest's page table may be dirty without a change:
 *                            the CPU may write what is there.
 *                            -EINVAL: slot number; -ENOENT: no such slot, or
 *                            without KVM_MEM_LOG_DIRTY_PAGES; -EFAULT: the
 *                            bitmap is bad, and the next call tells what this one
 *                            could not
 *   KVM_CLEAR_DIRTY_LOG      with or without KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.
 *                            -EINVAL: slot number, first_page not a multiple of
 *                            64 or beyond the slot, num_pages neither a multiple
 *                            of 64 nor up to the slot's end, or beyond; -ENOENT,
 *                            as above; -EFAULT: the bitmap is bad, and nothing is
 *                            cleared
 *   KVM_ENABLE_CAP           KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_MAX_VCPU_ID,
 *                            KVM_CAP_X86_TRIPLE_FAULT_EVENT,
 *                            KVM_CAP_DISABLE_QUIRKS, KVM_CAP_DISABLE_QUIRKS2
 *                            (KVM_X86_QUIRK_FIX_HYPERCALL_INSN leaves code alone
 *                            that the guest cannot write: #UD, not #PF),
 *                            KVM_CAP_EXIT_HYPERCALL, KVM_CAP_MSR_PLATFORM_INFO,
 *                            KVM_CAP_EXCEPTION_PAYLOAD, SLAT_CAP_RUNSTATE,
 *                            KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: args[0] is 0,
 *                            KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, with
 *                            KVM_DIRTY_LOG_INITIALLY_SET or without; a log that is
 *                            there already stays as it is.
 *                            -EINVAL: another one, flags, or arguments that it
 *                            does not take
 *   KVM_IOEVENTFD            ports and memory; each element of a string counts,
 *                            until one does not match.  -EINVAL: unknown flags,
 *                            a length that is none of a write, data to match
 *                            without one; -EEXIST: overlaps another one; -ENOENT:
 *                            nothing to take away; -ENOSPC: more than 1000;
 *                            -EBADF, or -EINVAL: fd is not that of an eventfd
 *   KVM_SET_TSS_ADDR         without effect.  -EINVAL: above 4G less three pages
 *   KVM_SET_IDENTITY_MAP_ADDR
 *                            without effect.  -EINVAL: after the first vCPU
 *   KVM_SET_NR_MMU_PAGES, KVM_GET_NR_MMU_PAGES
 *                            a number that is kept, and has no effect since
 *                            nothing shadows the guest's page tables; 0 at first.
 *                            -EINVAL: less than 64
 *   KVM_SET_BOOT_CPU_ID      -EBUSY after the first vCPU
 *   KVM_SET_GSI_ROUTING      -EINVAL, as on KVM without KVM_CREATE_IRQCHIP
 *   KVM_X86_SET_MSR_FILTER   -EINVAL: unknown flags, a range without flags or of
 *                            too many MSRs, all denied without a range
 *
 * vCPU
 *   KVM_RUN                  argument 0.  -EINTR: a signal, with exit_reason
 *                            KVM_EXIT_INTR, or immediate_exit, which leaves
 *                            exit_reason as it was; -EINVAL: another argument, or
 *                            cr8 above 15 in kvm_run; -EFAULT: the guest
 *                            touched a slot whose host memory is not there or
 *                            does not allow the access; -ENOMEM: the VMM's cgroup
 *                            has no room for nested tables: with more, or less to
 *                            map, the guest goes on; -ENODEV: the VM's tables are
 *                            not in the CPU's format.  Host memory that is broken
 *                            is a SIGBUS with BUS_MCEERR_AR
 *   KVM_PRE_FAULT_MEMORY     maps ahead what reads would: as large and as writable
 *                            as the host's own mapping is by now; gpa and size move
 *                            on to what is left.  0 as soon as anything was done.
 *                            -EINVAL: flags, padding, alignment, no size, wrap;
 *                            -ENOENT: no slot; -EAGAIN: the slot is being deleted or
 *                            moved; -EINTR: a signal; -EFAULT: no host memory;
 *                            -EHWPOISON: it is broken; -ENOMEM as KVM_RUN
 *   KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_FPU,
 *   KVM_SET_FPU, KVM_GET_MSRS, KVM_SET_MSRS, KVM_SET_CPUID2, KVM_GET_CPUID2
 *                            -EINVAL: control registers that do not fit together
 *                            or that the guest's CPUID does not have, reserved
 *                            bits of MXCSR, other CPUID entries after the first
 *                            KVM_RUN; -E2BIG: more than 255 MSRs or 256 CPUID
 *                            entries, or fewer than there are to read.  MTRRs
 *                            count with SLAT_SET_ATTRIBUTE.
 *                            CR0.CD and NW are kept for the VMM, but take no
 *                            effect, and on SVM the guest reads 0 there until it
 *                            first writes CR0; what it writes counts.
 *                            While a guest's own guest runs, this is its state;
 *                            that of the guest is not to be had, so it cannot be
 *                            moved then.  KVM_SET_SREGS without EFER.SVME ends
 *                            it; MSRs cannot
 *   KVM_GET_XSAVE, KVM_GET_XSAVE2, KVM_SET_XSAVE, KVM_GET_XCRS, KVM_SET_XCRS,
 *   KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_GET_SREGS2, KVM_SET_SREGS2,
 *   KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS
 *                            -EINVAL: unknown flags, reserved bits, what the host
 *                            does not have; system management mode
 *   KVM_GET_MP_STATE, KVM_SET_MP_STATE
 *                            KVM_MP_STATE_RUNNABLE; -EINVAL for another one
 *   KVM_GET_TSC_KHZ, KVM_SET_TSC_KHZ
 *                            0 sets the host's; -EINVAL: not that, give or take
 *                            250 ppm
 *   KVM_HAS_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR
 *                            KVM_VCPU_TSC_OFFSET; -ENXIO for another one
 *   KVM_SET_GUEST_DEBUG      -EINVAL: bits that KVM_CAP_SET_GUEST_DEBUG2 does not
 *                            tell of; -EBUSY: an exception to inject, with one
 *                            pending
 *   KVM_ENABLE_CAP           KVM_CAP_ENFORCE_PV_FEATURE_CPUID, which is always on;
 *                            -EINVAL: another one, flags
 *   KVM_SET_SIGNAL_MASK      -EINVAL: len is not that of a sigset_t
 *   KVM_TRANSLATE            changes nothing in the guest
 *   kvm_run.kvm_valid_regs, kvm_dirty_regs
 *                            KVM_SYNC_X86_REGS, _SREGS, _EVENTS; KVM_RUN gives
 *                            -EINVAL for others and for values that are refused
 *   KVM_X86_SETUP_MCE        -EINVAL: no bank or more than 32, what is not supported
 *   KVM_X86_SET_MCE          -EINVAL: no such bank, status not marked as valid
 *
 *   KVM_INTERRUPT            waits until the guest can take it, whatever
 *                            ready_for_interrupt_injection says.  -EINVAL: not a
 *                            vector; -EEXIST: another one waits
 *   KVM_NMI                  a third one is lost in the second, which waits for the
 *                            end of the first one's handler
 *
 * There is no interrupt controller in the kernel.  A VMM with its own asks for
 * KVM_EXIT_IRQ_WINDOW_OPEN by request_interrupt_window, and learns of a lowered task
 * priority by KVM_EXIT_SET_TPR.
 *
 * A VM belongs to the address space that made it: from another, every ioctl on
 * it and on its vCPUs gives -EIO.
 *
 * slat's own structures begin with their size, as the caller was compiled with
 * it; unknown flags and, in what is passed in, reserved fields must be 0.
 * -EINVAL: they are not, or size is below the first version's; -E2BIG: a larger
 * size with a byte behind the known part that is not 0, or one above 4096;
 * -EFAULT: not readable or writable.
 */
#ifndef _UAPI_LINUX_SLAT_H
#define _UAPI_LINUX_SLAT_H

#include <linux/ioctl.h>
#include <linux/kvm.h>
#include <linux/types.h>

/* KVM's, for kernels whose <linux/kvm.h> is older. */
#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY		_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#define KVM_CAP_PRE_FAULT_MEMORY	236
#endif

#define SLAT_IOCTL_TYPE		0xBD

/*
 * The argument of KVM_CREATE_VM: 0, or the format of the nested tables.  Without one it
 * is the CPU's.  With another than the CPU's, everything works but KVM_RUN, which gives
 * -ENODEV.
 */
#define SLAT_VM_EPT		(1UL << 16)
#define SLAT_VM_NPT		(2UL << 16)

/**
 * struct slat_stats - what happened in a VM so far
 * @size:	in: sizeof(struct slat_stats)
 * @flags:	in: must be 0
 * @exits:	exits from guest mode, whatever became of them
 * @user_exits:	returns of KVM_RUN to the VMM
 * @faults:	nested page faults on guest memory
 * @retries:	faults that raced with a change and were taken again
 * @mmio_exits:	KVM_EXIT_MMIO returns
 * @io_exits:	KVM_EXIT_IO returns
 * @leaves:	leaves in the nested tables now, of whatever size
 * @tables:	pages that the nested tables themselves take now
 * @flushes:	times that running vCPUs had to be stopped to drop translations
 * @levels:	levels of the nested tables
 * @reserved:	0
 *
 * The counters of different vCPUs are read one after the other, not at one
 * instant.
 */
struct slat_stats {
	__u32 size;
	__u32 flags;
	__aligned_u64 exits;
	__aligned_u64 user_exits;
	__aligned_u64 faults;
	__aligned_u64 retries;
	__aligned_u64 mmio_exits;
	__aligned_u64 io_exits;
	__aligned_u64 leaves;
	__aligned_u64 tables;
	__aligned_u64 flushes;
	__u32 levels;
	__u32 reserved;
};

/* sizeof(struct slat_stats) of the first version, the least that is accepted. */
#define SLAT_STATS_SIZE_VER0	88

/**
 * SLAT_GET_STATS - read the counters of a VM
 *
 * On a VM fd.  Fills in &struct slat_stats behind @flags, up to @size bytes.
 *
 * Return: 0, or the errors of the head of this file.
 */
#define SLAT_GET_STATS		_IOWR(SLAT_IOCTL_TYPE, 0x00, struct slat_stats)

#define SLAT_ACCESS_R		(1U << 0)
#define SLAT_ACCESS_W		(1U << 1)
#define SLAT_ACCESS_X		(1U << 2)

/* slat_leaf_info.state */
#define SLAT_LEAF_ACCESSED	(1U << 0)	/* since it was mapped or the host looked */
#define SLAT_LEAF_DIRTY		(1U << 1)	/* since it was mapped or the dirty log read */
#define SLAT_LEAF_IGNORE_PAT	(1U << 2)	/* @type counts whatever the guest's PAT says */
#define SLAT_LEAF_SUPPRESS_VE	(1U << 3)	/* a violation exits, never #VE */

/**
 * struct slat_leaf_info - what the nested tables say of a guest page
 * @size:	in: sizeof(struct slat_leaf_info)
 * @flags:	in: must be 0
 * @view:	in: must be 0
 * @level:	out: 1: a leaf of 4K, 2: 2M, 3: 1G; 0: nothing is mapped
 * @gpa:	in: an address in the page
 * @pfn:	out: the host frame behind it; all ones without a leaf, and to callers
 *		without CAP_SYS_ADMIN
 * @access:	out: SLAT_ACCESS_*, 0 without a leaf
 * @type:	out: memory type, as PATs number them: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, 7 UC-;
 *		0 without a leaf
 * @state:	out: SLAT_LEAF_*
 * @reserved:	0
 */
struct slat_leaf_info {
	__u32 size;
	__u32 flags;
	__u32 view;
	__u32 level;
	__aligned_u64 gpa;
	__aligned_u64 pfn;
	__u32 access;
	__u32 type;
	__u32 state;
	__u32 reserved;
};

/* sizeof(struct slat_leaf_info) of the first version, the least that is accepted. */
#define SLAT_LEAF_INFO_SIZE_VER0	48

/**
 * SLAT_GET_LEAF - read what the nested tables map at a guest-physical address
 *
 * On a VM fd.  What is there now, as the CPU finds it; nothing is mapped for it.
 *
 * Return: 0; -EINVAL: an address that the tables cannot map; or the errors of the head
 * of this file.
 */
#define SLAT_GET_LEAF		_IOWR(SLAT_IOCTL_TYPE, 0x01, struct slat_leaf_info)

/* slat_attribute.attribute */
#define SLAT_ATTR_NONCOHERENT_DMA	0	/* a device's DMA bypasses the CPUs' caches */
#define SLAT_ATTR_CACHE_FLUSH		1	/* the guest may flush the CPUs' caches */

/**
 * struct slat_attribute - something that is so for all of a VM
 * @size:	sizeof(struct slat_attribute)
 * @flags:	must be 0
 * @attribute:	SLAT_ATTR_*
 * @reserved:	must be 0
 * @value:	0 or 1; 0 until it is set
 */
struct slat_attribute {
	__u32 size;
	__u32 flags;
	__u32 attribute;
	__u32 reserved;
	__aligned_u64 value;
};

/* sizeof(struct slat_attribute) of the first version, the least that is accepted. */
#define SLAT_ATTRIBUTE_SIZE_VER0	24

/**
 * SLAT_SET_ATTRIBUTE - set an attribute of a VM
 *
 * On a VM fd.  Of SLAT_ATTR_NONCOHERENT_DMA and SLAT_ATTR_CACHE_FLUSH, either one has
 * the guest decide how its memory is cached, as far as SLAT_PIN_MEMTYPE does not: by its
 * PAT, and by its MTRRs, those of the vCPU that boots.  WBINVD and INVD then flush all
 * CPUs' caches.  Without, memory is WB, with EPT whatever the guest's PAT says, and these
 * instructions do nothing.  A change makes all memory be mapped anew.
 *
 * What is a device's own memory, mapped to the VMM by its driver, is UC to the guest,
 * or WC where its PAT says so, with or without these attributes; UC in a slot with
 * KVM_MEM_READONLY.
 *
 * Return: 0; -EINVAL: no such attribute or value; -EPERM: the caller is without
 * CAP_SYS_RAWIO; or the errors of the head of this file.
 */
#define SLAT_SET_ATTRIBUTE	_IOW(SLAT_IOCTL_TYPE, 0x02, struct slat_attribute)

/* In place of a type: nothing is pinned. */
#define SLAT_MEMTYPE_NONE	0xffffffffU

/**
 * struct slat_memtype_range - how a range of guest memory is to be cached
 * @size:	sizeof(struct slat_memtype_range)
 * @flags:	must be 0
 * @gpa:	first address, a multiple of 4K
 * @length:	bytes, a multiple of 4K, not 0
 * @type:	0 UC, 1 WC, 4 WT, 5 WP, 6 WB, or SLAT_MEMTYPE_NONE
 * @reserved:	must be 0
 */
struct slat_memtype_range {
	__u32 size;
	__u32 flags;
	__aligned_u64 gpa;
	__aligned_u64 length;
	__u32 type;
	__u32 reserved;
};

/* sizeof(struct slat_memtype_range) of the first version, the least that is accepted. */
#define SLAT_MEMTYPE_RANGE_SIZE_VER0	32

/**
 * SLAT_PIN_MEMTYPE - pin the memory type of a range of guest memory, or unpin it
 *
 * On a VM fd.  Whatever was pinned in the range before is replaced, also where it is part
 * of a larger range.  It counts for RAM, and while SLAT_SET_ATTRIBUTE gives the guest a
 * say: there the type holds whatever the guest's MTRRs and, with EPT, its PAT are.  With
 * NPT, which cannot ignore the guest's PAT, that can still weaken a pinned type other
 * than UC.  A type that the host's PAT lacks ("nopat") is UC there.  The range need not
 * be memory, and keeps its type when slots come and go.
 *
 * Return: 0; -EINVAL: alignment, no length, wrap, beyond the CPU's physical addresses or
 * what the tables can hold, no such type; -ENOSPC: more than 512 ranges, of which
 * neighbours of one type count as one; -ENOMEM; or the errors of the head of this file.
 * After an error everything is as before.
 */
#define SLAT_PIN_MEMTYPE	_IOW(SLAT_IOCTL_TYPE, 0x03, struct slat_memtype_range)

/**
 * struct slat_memory - guest memory to be copied
 * @size:	sizeof(struct slat_memory)
 * @flags:	must be 0
 * @view:	must be 0
 * @reserved:	must be 0
 * @gpa:	in: first address.  out: of what is left
 * @length:	in: bytes.  out: how many are left
 * @data:	in: address of the caller's buffer.  out: of what is left in it
 */
struct slat_memory {
	__u32 size;
	__u32 flags;
	__u32 view;
	__u32 reserved;
	__aligned_u64 gpa;
	__aligned_u64 length;
	__aligned_u64 data;
};

/* sizeof(struct slat_memory) of the first version, the least that is accepted. */
#define SLAT_MEMORY_SIZE_VER0	40

/**
 * SLAT_READ_MEMORY, SLAT_WRITE_MEMORY - copy from or to guest memory
 *
 * On a VM fd.  Page by page; the range may lie in several slots.  While a page is copied,
 * it cannot be converted; one that is being converted is waited for.  To read does not
 * unshare a page that the host has merged or copies on write; to write does, and marks the
 * page dirty, to the host and in the dirty log.  Nothing is atomic to the guest, which sees
 * what is written as by another CPU's string instruction.
 *
 * After an error, @gpa, @length and @data tell how far it came, so that the call can be
 * repeated as it is.
 *
 * Return: 0: all is copied; -EINVAL: beyond the CPU's physical addresses or what the tables
 * can hold; -ENOENT: no slot; -EROFS: to be written in a slot with KVM_MEM_READONLY;
 * -ENXIO: memory without page structures, as a device's, which only its driver's mapping
 * leads to; -EFAULT: the slot has no host memory there, or such that does not allow the
 * access, or the buffer is bad; -EINTR: a signal; -ENOMEM; or the errors of the head of
 * this file.
 */
#define SLAT_READ_MEMORY	_IOWR(SLAT_IOCTL_TYPE, 0x04, struct slat_memory)
#define SLAT_WRITE_MEMORY	_IOWR(SLAT_IOCTL_TYPE, 0x05, struct slat_memory)

/* slat_window.flags */
#define SLAT_WINDOW_WRITE	(1U << 0)	/* it may be mapped for writing */

/**
 * struct slat_window - guest memory to be mapped
 * @size:	sizeof(struct slat_window)
 * @flags:	SLAT_WINDOW_*
 * @view:	must be 0
 * @reserved:	must be 0
 * @gpa:	first address, a multiple of 4K
 * @length:	bytes, a multiple of 4K, not 0, up to 1G
 */
struct slat_window {
	__u32 size;
	__u32 flags;
	__u32 view;
	__u32 reserved;
	__aligned_u64 gpa;
	__aligned_u64 length;
};

/* sizeof(struct slat_window) of the first version, the least that is accepted. */
#define SLAT_WINDOW_SIZE_VER0	32

/**
 * SLAT_CREATE_WINDOW - have guest memory to map, for a device model
 *
 * On a VM fd.  Gives a file descriptor, which another process may be given, to map by
 * mmap() with MAP_SHARED: offset 0 is @gpa.  The pages are those that back the guest at the
 * time of the call.  They are pinned, and cannot be converted, until the descriptor is closed
 * and the last mapping gone.  Where the VMM unmaps or replaces its memory meanwhile, or the
 * slot goes, the window stays with the old pages, and the guest sees no more of what is
 * written there.
 *
 * The mapping is of frames, as a device's is: it cannot be the buffer of direct I/O, nor
 * grow, and is missing from core dumps.  A window that may be written marks all its pages
 * dirty in the end, and until then they are dirty in each dirty log that is read, under
 * the addresses that they had when the window was made.  The pages count against
 * RLIMIT_MEMLOCK of the VMM, and the window keeps the VM.
 *
 * mmap() gives -EINVAL: not MAP_SHARED; -ENXIO: beyond the window; -EACCES: for writing,
 * without SLAT_WINDOW_WRITE.
 *
 * Return: a file descriptor; -EINVAL: alignment, no length, more than 1G, beyond the
 * CPU's physical addresses or what the tables can hold; -ENOMEM: also for RLIMIT_MEMLOCK,
 * which CAP_IPC_LOCK lifts; -EMFILE, -ENFILE; -ENOENT, -EROFS, -ENXIO, -EINTR as for
 * SLAT_WRITE_MEMORY, for any of the pages; -EFAULT: likewise, or the file that is mapped
 * there does not allow pages to be pinned for long; -EOPNOTSUPP: nor does DAX; or the
 * errors of the head of this file.
 */
#define SLAT_CREATE_WINDOW	_IOW(SLAT_IOCTL_TYPE, 0x06, struct slat_window)

/*
 * Runstate areas
 *
 * A guest can watch where the time of its vCPUs goes: slat keeps a struct slat_runstate
 * in guest memory up to date for each vCPU that has such an area.  The layout is that of
 * Xen's vcpu_runstate_info for 64-bit guests, with the update flag always in use.
 *
 * To read, a guest
 *  1. reads entry_time; if SLAT_RUNSTATE_UPDATE is set, starts again;
 *  2. after a read barrier, copies the rest;
 *  3. after another one, reads entry_time again; if it is not the same, starts again.
 * On x86 a barrier for the compiler does.  Code that cannot read entry_time in one piece
 * reads its upper half both before and after the lower one, until they agree.
 *
 * Times are in ns.  The clock counts from the creation of the VM, also while the host is
 * suspended, and is the same for all vCPUs.  time[] says how long the vCPU was in each
 * state up to entry_time, when it entered the one that it is in: so the four add up to what
 * had passed by then since the registration.  An area that replaces another one goes on
 * with its times; after an unregistration they begin at 0 again.
 *
 * In KVM_RUN a vCPU is RUNNABLE whenever its thread is not on a CPU, be it that another one
 * is, or that it waits for the host's memory.  This is what is stolen from the guest.
 */
#define SLAT_RUNSTATE_RUNNING	0	/* in KVM_RUN, or the VMM works on its behalf */
#define SLAT_RUNSTATE_RUNNABLE	1	/* in KVM_RUN, but the host does something else */
#define SLAT_RUNSTATE_BLOCKED	2	/* from KVM_EXIT_HLT to the next KVM_RUN */
#define SLAT_RUNSTATE_OFFLINE	3	/* KVM_RUN was never called */

#define SLAT_RUNSTATE_UPDATE	(1ULL << 63)

/**
 * struct slat_runstate - the state of a vCPU, as its guest sees it
 * @state:	SLAT_RUNSTATE_*
 * @padding:	0
 * @entry_time:	when it entered @state; with SLAT_RUNSTATE_UPDATE while the rest is
 *		being written
 * @time:	ns spent in each state up to @entry_time, by its number
 */
struct slat_runstate {
	__u32 state;
	__u32 padding;
	__aligned_u64 entry_time;
	__aligned_u64 time[4];
};

/*
 * For KVM_CHECK_EXTENSION, 1; and for KVM_ENABLE_CAP on a VM, where args[0] says whether
 * the guest has SLAT_HC_SET_RUNSTATE: 0 or 1, 0 at first.
 */
#define SLAT_CAP_RUNSTATE	0x736c0001

/*
 * How a guest finds slat: from CPUID leaf 0x40000000 on, in steps of 0x100, it looks for
 * "slatslatslat" in EBX, ECX and EDX.  EAX is the last leaf that belongs to it; in EAX of
 * the next leaf is a bit for each feature.  KVM_GET_SUPPORTED_CPUID has neither leaf, as
 * features depend on what the VMM enables: it is for the VMM to add them.
 */
#define SLAT_CPUID_SIGNATURE	0x40000100
#define SLAT_CPUID_FEATURES	0x40000101
#define SLAT_FEATURE_RUNSTATE	(1U << 0)	/* SLAT_HC_SET_RUNSTATE */

/*
 * SLAT_HC_SET_RUNSTATE - the guest registers a runstate area
 *
 * At CPL 0, by VMCALL on Intel's CPUs and VMMCALL on AMD's: RAX the number, RBX the id of
 * the vCPU, RCX the address, RDX flags; the result is in RAX.  Outside of 64-bit code only
 * the lower halves count.
 *
 * With SLAT_RUNSTATE_VIRTUAL the address is a virtual one.  It is translated once, now, by
 * the page tables of the calling vCPU, which must allow it to write there.  From then on
 * the area stays with the memory that was found: if the guest maps something else at the
 * address, or nothing, as kernels do that hide themselves from user mode, updates go where
 * they went before.
 *
 * What SLAT_SET_RUNSTATE says of areas is true here as well.  The result is 0; -1000
 * (-KVM_ENOSYS): the VMM has not enabled it; -EPERM: not at CPL 0; or, as a negative
 * number, an errno of SLAT_SET_RUNSTATE, with -EINVAL for an unknown flag, and -ENOENT
 * also when the guest's page tables do not let it write to the address.
 */
#define SLAT_HC_SET_RUNSTATE	0x736c0001
#define SLAT_RUNSTATE_VIRTUAL	(1U << 0)

/**
 * struct slat_set_runstate - where a vCPU's runstate area is
 * @size:	sizeof(struct slat_set_runstate)
 * @flags:	must be 0
 * @vcpu:	the vCPU's id
 * @reserved:	must be 0
 * @gpa:	of struct slat_runstate, a multiple of 8; 0: none any more
 */
struct slat_set_runstate {
	__u32 size;
	__u32 flags;
	__u32 vcpu;
	__u32 reserved;
	__aligned_u64 gpa;
};

/* sizeof(struct slat_set_runstate) of the first version, the least that is accepted. */
#define SLAT_SET_RUNSTATE_SIZE_VER0	24

/**
 * SLAT_SET_RUNSTATE - register, replace or unregister a vCPU's runstate area
 *
 * On a VM fd, for any vCPU, whether it runs or not.  When the call returns, the area holds
 * a complete sample.  A vCPU that is kept from running at that moment, while another
 * thread registers its first area, counts as running until it does.
 *
 * The area may cross from one page to the next.  Its pages are pinned until it is
 * replaced or unregistered or the VM is gone, whatever becomes of the memslot and of the
 * VMM's mapping: memory that the VMM gives up meanwhile still gets the updates, but the
 * guest does not see it any more, and finds other memory at the address or none.  The pages
 * are dirty in each dirty log that is read, and in the end.  They count for RLIMIT_MEMLOCK,
 * each time that they are pinned.
 *
 * Return: 0; -ESRCH: no such vCPU; -EINVAL: not a multiple of 8; -ENOENT: no memslot
 * there; -EROFS: a slot with KVM_MEM_READONLY; -ENXIO: memory without page structures, as
 * drivers map it; -EFAULT: the VMM has no memory there, none to be written, or of a file
 * whose pages cannot be pinned for long; -EOPNOTSUPP: nor can those of DAX; -ENOMEM: also
 * for RLIMIT_MEMLOCK, which CAP_IPC_LOCK lifts; -EINTR: a fatal signal; or the errors of
 * the head of this file.  After an error the area is the same as before.
 */
#define SLAT_SET_RUNSTATE	_IOW(SLAT_IOCTL_TYPE, 0x07, struct slat_set_runstate)

/**
 * struct slat_get_runstate - the state of a vCPU, for the VMM
 * @size:	in: sizeof(struct slat_get_runstate)
 * @flags:	in: must be 0
 * @vcpu:	in: the vCPU's id
 * @state:	out: SLAT_RUNSTATE_*
 * @now:	out: when that was, by the clock of struct slat_runstate
 * @time:	out: ns spent in each state up to @now
 */
struct slat_get_runstate {
	__u32 size;
	__u32 flags;
	__u32 vcpu;
	__u32 state;
	__aligned_u64 now;
	__aligned_u64 time[4];
};

/* sizeof(struct slat_get_runstate) of the first version, the least that is accepted. */
#define SLAT_GET_RUNSTATE_SIZE_VER0	56

/**
 * SLAT_GET_RUNSTATE - read the state and times of a vCPU with a runstate area
 *
 * On a VM fd.
 *
 * Return: 0; -ESRCH: no such vCPU; -ENOENT: it has no area; or the errors of the head of
 * this file.
 */
#define SLAT_GET_RUNSTATE	_IOWR(SLAT_IOCTL_TYPE, 0x08, struct slat_get_runstate)

#endif
