/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every lock of slat, outermost first: a thread takes them downwards only.
 *
 *   level  lock             kind     protects, and why it stands here
 *   -----  ---------------  -------  ----------------------------------------------
 *     10   vcpu->mutex      mutex    one vCPU's state; held for all of KVM_RUN, so
 *                                    everything a running guest needs is below it
 *     20   vm->lock         mutex    which vCPUs exist
 *     30   vm->slots_lock   mutex    changes of the slots, one at a time
 *     40   hw_lock (main.c) mutex    whether CPUs are enabled; inside cpus_read_lock(),
 *                                    as CPU hotplug callbacks run with that held
 *     50   vm->slots_srcu   SRCU     a snapshot of the slots.  A reader may fault in
 *                                    user memory, so mmap_lock is below; a notifier
 *                                    reads under it, too, but waits for nothing
 *     60   mmap_lock etc.   (mm)     get_user_pages and user copies take it; MMU
 *                                    notifiers run with mm's locks held, hence ...
 *     70   mmu->lock        rwlock   the nested tables and the invalidation count.
 *                                    Nothing under it sleeps, allocates or touches
 *                                    user memory
 *     80   vm->tsc.lock     spinlock the VMM's last write to a TSC; a leaf
 */
#ifndef SLAT_LOCKS_H
#define SLAT_LOCKS_H

#include <linux/mutex.h>
#include <linux/rwlock.h>
#include <linux/srcu.h>

#endif
