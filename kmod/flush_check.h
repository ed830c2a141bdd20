/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second opinion on flushing, for debug builds (SLAT_FLUSH_CHECK).
 *
 * Emulated CPUs drop their translations at each entry and exit, so that a flush which is
 * missing does no harm there and no test of the guest's sees it.  The checker therefore
 * keeps books of its own: for each CPU and tag, whose translations it may hold and of
 * which cut generation the oldest can be.  Only the functions around the instructions
 * that flush write there.  They are compared with the cut generation before each entry,
 * and before a call that cut returns or frees tables.
 *
 * What is found is told and counted in debugfs, and mended: the caller flushes.
 */
#ifndef SLAT_FLUSH_CHECK_H
#define SLAT_FLUSH_CHECK_H

#include <linux/types.h>

struct slat_vcpu;
struct slat_vm;

/* What a test can have left out, until it does harm: that is found, and mended. */
enum slat_flush_omission {
	SLAT_OMIT_ENTRY,	/* the flush at an entry */
	SLAT_OMIT_TAG,		/* to take another tag with it, or to empty the same */
	SLAT_OMIT_KICK,		/* to stop the vCPUs after a cut */
	SLAT_NR_OMISSIONS
};

#ifdef SLAT_FLUSH_CHECK

/** slat_flush_check_init() - at module load.  @tags: all are below.  Return: 0, -ENOMEM. */
int slat_flush_check_init(u32 tags);

/** slat_flush_check_exit() - the reverse */
void slat_flush_check_exit(void);

/** slat_flush_debugfs() - make the files of the checker. */
void slat_flush_debugfs(void);

/** slat_flush_omit() - is it to be left out?  Context: any. */
bool slat_flush_omit(enum slat_flush_omission what);

/**
 * slat_flush_note_all() - this CPU holds no translation at all
 *
 * Context: as slat_hw.run, for all the next ones, too.
 */
void slat_flush_note_all(void);

/** slat_flush_note_linear() - under @tag it holds none of the guest's own addresses */
void slat_flush_note_linear(u32 tag);

/** slat_flush_note_nested() - under @tag it holds none that come from nested tables */
void slat_flush_note_nested(u32 tag);

/**
 * slat_flush_note() - under @tag, this CPU will hold @vcpu's, of @gen or younger
 *
 * Of its own addresses it may have kept what it holds, if @vcpu was on no other CPU
 * since.
 *
 * Return: false: it may hold others there, so empty it or take another tag.
 */
bool slat_flush_note(u32 tag, const struct slat_vcpu *vcpu, u64 gen);

/**
 * slat_flush_enter() - the next is the entry, with @tag
 * @gen:	that must have been flushed
 *
 * Return: false: it was not, so flush and ask again.
 */
bool slat_flush_enter(struct slat_vcpu *vcpu, u32 tag, u64 gen);

/** slat_flush_leave() - the guest was left. */
void slat_flush_leave(struct slat_vcpu *vcpu);

/**
 * slat_flush_finished() - is no vCPU in the guest with what was cut before @gen?
 *
 * Context: mmu->lock not held.  Return: false: one is, so stop them all.
 */
bool slat_flush_finished(struct slat_vm *vm, u64 gen);

#else

static inline int slat_flush_check_init(u32 tags) { return 0; }
static inline void slat_flush_check_exit(void) { }
static inline void slat_flush_debugfs(void) { }
static inline bool slat_flush_omit(enum slat_flush_omission what) { return false; }
static inline void slat_flush_note_all(void) { }
static inline void slat_flush_note_linear(u32 tag) { }
static inline void slat_flush_note_nested(u32 tag) { }
static inline bool slat_flush_note(u32 tag, const struct slat_vcpu *vcpu, u64 gen)
{
	return true;
}

static inline bool slat_flush_enter(struct slat_vcpu *vcpu, u32 tag, u64 gen) { return true; }
static inline void slat_flush_leave(struct slat_vcpu *vcpu) { }
static inline bool slat_flush_finished(struct slat_vm *vm, u64 gen) { return true; }

#endif
#endif
